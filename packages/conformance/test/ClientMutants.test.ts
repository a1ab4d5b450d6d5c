/** The part of the kit that tests clients is itself tested by clients that are wrong on purpose, and by one that is not. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parse } from "../src/client/Script.ts"
import { clientCases, ClientCommand, select, startClient } from "../src/index.ts"
import { type ClientMutant, clientMutants } from "./ClientMutants.ts"

const program = fileURLToPath(new URL("ClientMutants.ts", import.meta.url))

/** What comes of cases with a client, by their ids. */
const verdicts = Effect.fnUntraced(
  function*(words: ReadonlyArray<string>, ids: ReadonlyArray<string>, timeout: number) {
    const command = ClientCommand.read(words, undefined) ?? assert.fail("it cannot be told what it does")
    const seed = Math.floor(Math.random() * 1_000_000)
    const cases = select(clientCases, { profiles: [], ids }).filter(({ role }) => command.roles.includes(role))
    const results = yield* Stream.runCollect(yield* startClient({ command, cases, seed, timeout }))
    return new Map(results.map(({ case: { id }, verdict, why }) => [id, { verdict, why }]))
  }
)

const mutantWords = (number: number): ReadonlyArray<string> => [process.execPath, program, String(number)]

describe("a client without a fault", () => {
  it.live("passes every case", () =>
    Effect.gen(function*() {
      const found = yield* verdicts(mutantWords(-1), [], 5000)
      assert.strictEqual(found.size, clientCases.length)
      for (const [id, { verdict, why }] of found) assert.strictEqual(verdict, "pass", `${id}: ${JSON.stringify(why)}`)
    }), 120_000)
})

describe("a client of ten lines", () => {
  for (const [command, name] of [["python3", "send.py"], ["bash", "send.sh"]] as const) {
    const isMissing = spawnSync(command, ["--version"]).error !== undefined
    it.live.skipIf(isMissing)(`in ${command} keeps every MUST: ${name}`, () =>
      Effect.gen(function*() {
        const client = fileURLToPath(new URL(`../clients/${name}`, import.meta.url))
        const words = [command, client, "{host}", "{port}", "{user}", "{target}", "{message}"]
        const found = yield* verdicts(words, [], 10_000)
        for (const { id, level, role } of clientCases) {
          if (role !== "send" || level !== "MUST") continue
          const { verdict, why } = found.get(id) ?? assert.fail(id)
          assert.strictEqual(verdict, "pass", `${id}: ${JSON.stringify(why)}`)
        }
        // It gives up where the connection is lost, and says so
        assert.strictEqual(found.get("client/send/6.3/sends-again")?.verdict, "unsupported")
      }), 120_000)
  }
})

describe("a client that", () => {
  const found = new Map<ClientMutant, Effect.Success<ReturnType<typeof verdicts>>>()

  /** The verdicts by which a case catches a client. */
  const catching = (id: string): ReadonlyArray<string> =>
    clientCases.find((of) => of.id === id)?.level === "MAY" ? ["unsupported"] : ["fail", "non-strict"]

  const isCaught = (mutant: ClientMutant) =>
    mutant.caughtBy.every((id) => catching(id).includes(found.get(mutant)?.get(id)?.verdict ?? ""))

  const look = (concurrency: number) =>
    Effect.suspend(() =>
      Effect.forEach(
        Array.from(clientMutants.entries()).filter(([, mutant]) => !isCaught(mutant)),
        ([number, mutant]) =>
          Effect.map(verdicts(mutantWords(number), mutant.caughtBy, 10_000), (them) => found.set(mutant, them)),
        { concurrency, discard: true }
      )
    )

  beforeAll(() => {
    // What a client does too early is not seen where the machine gives it no time to: those are looked at once more, alone
    return Effect.runPromise(Effect.andThen(look(8), look(1)))
  }, 300_000)

  it.each(clientMutants)("$fault does not pass", (mutant) => {
    for (const id of mutant.caughtBy) {
      const { verdict, why } = found.get(mutant)?.get(id) ?? assert.fail(`there is no case ${id}`)
      assert.include(catching(id), verdict, `${id}: ${JSON.stringify(why)}`)
    }
  })
})

describe("a case for clients", () => {
  it("has a wrong client that it catches", () => {
    assert.isAtLeast(clientMutants.length, 10)
    const caught = new Set(clientMutants.flatMap(({ caughtBy }) => caughtBy))
    assert.deepStrictEqual(clientCases.filter(({ id }) => !caught.has(id)).map(({ id }) => id), [])
  })

  it.each(clientCases)(
    "quotes the specification, word for word, and can be read: $id",
    ({ id, level, quote, script }) => {
      const page = readFileSync(
        new URL(`../spec/${level === "our reading" ? "READING" : "CPT"}.md`, import.meta.url),
        "utf8"
      )
      assert.include(page.replaceAll(/\s+/g, " "), quote)
      assert.match(id, /^client\/[a-z]+\/\d\.\d+\/[a-z0-9-]+$/)
      assert.isNotEmpty(parse(script))
    }
  )
})

describe("what a client does", () => {
  const rolesOf = (...words: ReadonlyArray<string>) => ClientCommand.read(words, undefined)?.roles

  it("is told from its command line, or it is told everything", () => {
    assert.deepStrictEqual(rolesOf("cpt"), ClientCommand.roles)
    assert.deepStrictEqual(rolesOf("client", "{do}", "{target}", "{message}"), ClientCommand.roles)
    assert.deepStrictEqual(rolesOf("client", "{host}", "{target}", "{message}"), ["send"])
    assert.deepStrictEqual(rolesOf("cpt", "send", "-s", "{server}", "{target}"), ["lines"])
    assert.deepStrictEqual(rolesOf("cpt", "send", "room", "hi"), ["send"])
    assert.deepStrictEqual(rolesOf("cpt", "tail", "{group}"), ["tail"])
    assert.isUndefined(rolesOf("client", "{group}"))
  })
})
