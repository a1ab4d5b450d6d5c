/** For those who ask: the definition of the administration, and its client. Those who serve it compose `Admin` layers. */
export { AdminApi, Unauthorized } from "./Api.ts"
export * as AdminClient from "./Client.ts"
