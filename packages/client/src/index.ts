/** A client of CPT for Effect. */
export { CptClient, defaultRetry, maxAhead, type Options, type Start, type TlsOptions } from "./CptClient.ts"
export * as ClientError from "./Errors.ts"
export { Event, isMessage, type Message } from "./Event.ts"
