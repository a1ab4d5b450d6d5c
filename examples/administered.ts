/**
 * A server that somebody looks after: who has the token asks it over HTTP, and whatever watches it asks `/healthz` and
 * `/metrics`.
 *
 *     TOKEN=secret npx node --conditions=@cpt/source examples/administered.ts
 */
import { Accounts, Admin, layerMemory, Listener, Probes, Program, Server } from "@cpt/server"
import { Layer, Redacted } from "effect"
import { launchIfMain } from "./main.ts"

/** On ports of the caller's choice. */
export const administered = (ports: { chat: number; admin: number; probes: number }, token: string) =>
  Layer.mergeAll(
    Admin.layerTcp({ host: "127.0.0.1", port: ports.admin, token: () => Redacted.make(token) }),
    Probes.layerTcp({ host: "127.0.0.1", port: ports.probes })
  ).pipe(
    Layer.provideMerge(Server.layer(Listener.tcp({ port: ports.chat }))),
    Layer.provide([Accounts.layerOpen, Program.layerNone]),
    Layer.provide(layerMemory())
  )

launchIfMain(
  import.meta.url,
  administered({ chat: 39168, admin: 9169, probes: 9168 }, process.env["TOKEN"] ?? "secret")
)
