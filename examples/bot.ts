/**
 * A bot: it follows a group, answers what begins with `!`, and comes back by itself when the server was away. It begins
 * with what is new, so that it does not answer yesterday's questions.
 *
 *     npx node --conditions=@cpt/source examples/bot.ts
 */
import { CptClient } from "@cpt/client"
import { Clock, Effect, Layer, Stream } from "effect"
import { launchIfMain } from "./main.ts"

const answers: Record<string, string> = {
  "!ping": "pong",
  "!help": "I know !ping and !help"
}

export const bot = (group: string) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const client = yield* CptClient
    const after = yield* Clock.currentTimeMillis
    yield* client.follow([{ group, after }]).pipe(
      Stream.runForEach((event) => {
        const answer = event._tag === "Message" && event.sender !== client.username ? answers[event.message] : undefined
        return answer === undefined ? Effect.void : client.send(group, answer)
      }),
      Effect.forkScoped
    )
  }))

launchIfMain(import.meta.url, Layer.provide(bot("group1"), CptClient.layer({ username: "bot" })))
