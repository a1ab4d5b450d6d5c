/**
 * One chat over several listeners: TCP for `cpt`, and WebSocket for browsers, with the same names, groups and messages.
 * A WebSocket message holds one or more whole lines. Its address, for limits, accounts and the log, is that of whoever has
 * connected: behind a proxy, such as one that ends TLS, all come from the proxy's.
 *
 *     npx node --conditions=@cpt/source examples/websocket.ts
 */
import { Accounts, layerMemory, Listener, Server } from "@cpt/server"
import { NodeSocketServer } from "@effect/platform-node"
import { Layer } from "effect"
import { launchIfMain } from "./main.ts"

export const chat = (ports: { readonly tcp: number; readonly webSocket: number }) =>
  Server.layer(
    Listener.tcp({ port: ports.tcp }),
    NodeSocketServer.layerWebSocket({ port: ports.webSocket })
  ).pipe(Layer.provide([Accounts.layerOpen, layerMemory()]))

launchIfMain(import.meta.url, chat({ tcp: 39168, webSocket: 39169 }))
