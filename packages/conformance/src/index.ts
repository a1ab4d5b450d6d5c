/**
 * Tells whether a CPT server, in any language, keeps to the specification: `start` runs cases against it over the network,
 * and says of each what came of it. It knows the protocol, and nothing of our server and our client.
 */
export { type Case, type Described, type Level, type Profile, profiles, source } from "./Case.ts"
export { cases } from "./cases/index.ts"
export { type Case as ClientCase, clientCases } from "./client/cases.ts"
export * as ClientCommand from "./client/Command.ts"
export { type Options as ClientOptions, startClient } from "./client/Run.ts"
export { type Dialect, differences } from "./Dialect.ts"
export * as Hands from "./Hands.ts"
export {
  Broken,
  Inconclusive,
  Miswritten,
  type Outcome,
  Unreachable,
  Unsupported,
  type Verdict,
  verdicts
} from "./Outcome.ts"
export * as Report from "./report/index.ts"
export { type Options, type Result, type Run, start } from "./Run.ts"
export { home, select } from "./Select.ts"
export type { Address, Place, TlsOptions } from "./Wire.ts"
