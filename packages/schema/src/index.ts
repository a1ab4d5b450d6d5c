/** What is on the wire of CPT: commands, names, timestamps, decline reasons, the framer, and the protocol's limits. */
export * as Command from "./Command.ts"
export * as Decline from "./Decline.ts"
export * as Framer from "./Framer.ts"
export * as Limits from "./Limits.ts"
export * as Message from "./Message.ts"
export * as Name from "./Name.ts"
export * as Notice from "./Notice.ts"
export * as Timestamp from "./Timestamp.ts"
