/**
 * A real server inside a test suite: in this process, on a free port, gone with the tests. Here for a program that
 * reports deployments to a group.
 *
 *     npx vitest run --config vitest.workspace.ts --project examples
 */
import { CptClient } from "@cpt/client"
import { Accounts, layerMemory, Listener, Server } from "@cpt/server"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"

/** The program that is tested. */
const reportDeployment = Effect.fn("reportDeployment")(function*(version: string) {
  const client = yield* CptClient
  yield* client.send("deployments", `${version} is live`)
})

const ServerOnAFreePort = Server.layer(Listener.tcp({ port: 0 })).pipe(
  Layer.provide([Accounts.layerOpen, layerMemory()])
)

const Client = Layer.unwrap(Effect.gen(function*() {
  const [address] = (yield* Server).addresses
  const port = address !== undefined && "port" in address ? address.port : 0
  return CptClient.layer({ username: "deployer", port })
}))

layer(Layer.provide(Client, ServerOnAFreePort))("reportDeployment", (it) => {
  it.effect("tells the group", () =>
    Effect.gen(function*() {
      yield* reportDeployment("1.2.3")
      const client = yield* CptClient
      const messages = yield* Stream.runCollect(client.sync("deployments"))
      assert.deepStrictEqual(messages.map((event) => event._tag === "Message" && event.message), ["1.2.3 is live"])
    }))
})
