/** For those who ask: the definition of the administration, and its client. Those who serve it compose `Admin` layers. */
export { Account, AccountChange } from "../Account.ts"
export { AlreadyDeclared, NameConflict, NotDeclared } from "../Declared.ts"
export { Group as DeclaredGroup, GroupChange, OpenToAll } from "../Group.ts"
export { DeclaredElsewhere } from "../Keeper.ts"
export { UnixSocketFailed } from "../UnixSocket.ts"
export {
  AdminApi,
  Authorization,
  type Group,
  LogLevel,
  NoSuchSession,
  NotDone,
  type Session,
  type Status,
  StorageFails,
  Unauthorized,
  Understood
} from "./Api.ts"
export * as AdminClient from "./Client.ts"
export { NotStored } from "./DeclaredApi.ts"
export { parse as parseToken, TokenUnusable, warnIfShort as warnIfShortToken } from "./Token.ts"
