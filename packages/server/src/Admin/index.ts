/** For those who ask: the definition of the administration, and its client. Those who serve it compose `Admin` layers. */
export { Account, AccountChange } from "../Account.ts"
export { Group as DeclaredGroup, GroupChange } from "../Group.ts"
export { AdminApi, type Group, LogLevel, NotDone, type Session, type Status } from "./Api.ts"
export * as AdminClient from "./Client.ts"
export * as AdminToken from "./Token.ts"
