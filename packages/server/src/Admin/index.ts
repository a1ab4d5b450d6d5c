/** For those who ask: the definition of the administration, and its client. Those who serve it compose `Admin` layers. */
export { AdminApi, type Group, LogLevel, NotDone, type Session, type Status } from "./Api.ts"
export * as AdminClient from "./Client.ts"
