/**
 * Listeners with the socket options that the protocol needs. Any other `SocketServer` does too, if its sockets stay open
 * for answers after the peer has ended its side (CPT 1.7).
 */
import { Limits } from "@cpt/schema"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import type { TlsOptions } from "node:tls"
import type { Listener } from "./Server.ts"

/** Connections that wait to be accepted: a whole office may come back at once after a restart. */
const backlog = 4096

export interface TcpOptions {
  /** Default: 127.0.0.1, this machine only. */
  readonly host?: string | undefined
  /** Default: 39168. 0 takes a free one. */
  readonly port?: number | undefined
}

const tcpOptions = ({ host = "127.0.0.1", port = Limits.defaultPort }: TcpOptions) => ({
  host,
  port,
  backlog,
  allowHalfOpen: true,
  noDelay: true
})

/** TCP, in clear text. */
export const tcp = (options: TcpOptions = {}): Listener => NodeSocketServer.layer(tcpOptions(options))

/** TLS over TCP: give at least `key` and `cert`. */
export const tls = (options: TcpOptions & TlsOptions): Listener =>
  NodeSocketServer.layerTls({ minVersion: "TLSv1.2", ...options, ...tcpOptions(options) })

/** A Unix socket. */
export const unix = (path: string): Listener => NodeSocketServer.layer({ path, backlog, allowHalfOpen: true })
