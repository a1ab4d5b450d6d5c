/**
 * A CPT server, as Layers: `Server.layer` over listeners (`Listener`, or any `SocketServer`), with a store (`MessageStore`)
 * and account rules (`Accounts`).
 */
export { Account } from "./Account.ts"
export { Accounts, type Login, type Refusal } from "./Accounts.ts"
export { Admin, AdminFailed, Probes } from "./Admin.ts"
export { Batch } from "./Batch.ts"
export type { Certificate } from "./Certificate.ts"
export * as Database from "./Database.ts"
export { type Declared, NameConflict, NotDeclared, type Register } from "./Declared.ts"
export { Group } from "./Group.ts"
export * as IpRange from "./IpRange.ts"
export { CannotLoad, DeclaredElsewhere, Keeper } from "./Keeper.ts"
export * as Listener from "./Listener.ts"
export * as Credentials from "./Listener/Credentials.ts"
export { type Appended, type Kind, MessageStore, type Page, type Watcher } from "./MessageStore.ts"
export { layerMemory, type MemoryLimits } from "./MessageStore/Memory.ts"
export { CannotOpen, layerSqlite, type Options as SqliteOptions } from "./MessageStore/Sqlite.ts"
export type { Keep } from "./MessageStore/sqlite/Retention.ts"
export * as Metrics from "./Metrics.ts"
export { Program } from "./Program.ts"
export { Server } from "./Server.ts"
export * as ServerConfig from "./ServerConfig.ts"
