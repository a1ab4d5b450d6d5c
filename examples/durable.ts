/**
 * A server that keeps its messages on disk: what it has ACKed is there again after it was killed.
 *
 *     npx node --conditions=@cpt/source examples/durable.ts messages.db
 */
import { Accounts, layerSqlite, Listener, Server } from "@cpt/server"
import { Console, Effect, Layer } from "effect"
import { launchIfMain } from "./main.ts"

const [, , file = "messages.db", port = "39168"] = process.argv

const announced = Layer.effectDiscard(Effect.gen(function*() {
  const { addresses } = yield* Server
  yield* Console.log(`listening on ${addresses.join(" and ")}`)
}))

launchIfMain(
  import.meta.url,
  announced.pipe(
    Layer.provide(Server.layer(Listener.tcp({ port: Number(port) }))),
    Layer.provide([Accounts.layerOpen, layerSqlite({ file })])
  )
)
