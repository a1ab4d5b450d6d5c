/**
 * For tests: the suite that every driver of `MessageStore` must pass, and a peer in memory, with which a whole server
 * runs without a port and under TestClock. Needs vitest and @effect/vitest.
 */
export { messageStoreSuite, type SuiteOptions } from "./MessageStoreSuite.ts"
export { makeListener, makePeer, type Memory, type Peer } from "./Peer.ts"
