import { Accounts, layerMemory, layerSqlite, Listener, Server } from "@cpt/server"
import { Effect, Layer } from "effect"
const port = Number(process.argv[process.argv.indexOf("--port") + 1])
const data = process.argv.indexOf("--data")
const store = data > 0 ? layerSqlite({ file: process.argv[data + 1] }) : layerMemory()
const fiber = Effect.runFork(
  Layer.launch(Server.layer(Listener.tcp({ port })).pipe(Layer.provide([Accounts.layerOpen, store])))
)
process.on("SIGINT", () => process.exit(0))
