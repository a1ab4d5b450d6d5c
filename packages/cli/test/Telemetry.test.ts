/** What `cpt serve` sends to a collector of OpenTelemetry, by the standard variables. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { text } from "node:stream/consumers"
import * as Cpt from "./support/Cpt.ts"

/** A collector; gives where it is, and waits for a body that is sent to a path and has some text in it. */
const collector = (answer: (response: ServerResponse) => void = (response) => response.end("{}")) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const bodies: Array<{ readonly path: string; readonly type: string | undefined; readonly body: string }> = []
      const waiting = new Set<() => void>()
      const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
        bodies.push({ path: request.url ?? "", type: request.headers["content-type"], body: await text(request) })
        answer(response)
        for (const look of waiting) look()
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      const address = server.address()
      const port = typeof address === "object" ? address?.port : undefined
      const sent = (path: string, part: string) =>
        Effect.callback<{ readonly type: string | undefined; readonly body: string }>((resume) => {
          const look = () => {
            const found = bodies.find((one) => one.path === path && one.body.includes(part))
            if (found !== undefined) resume(Effect.succeed(found))
          }
          waiting.add(look)
          look()
          return Effect.sync(() => waiting.delete(look))
        })
      return { endpoint: `http://127.0.0.1:${port}`, sent, bodies, server }
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

/** A server in whose life bob has sent a message, and a line that is too long, of which the log warns. */
const served = Effect.fnUntraced(function*(env: Record<string, string>, ...flags: ReadonlyArray<string>) {
  const server = yield* Cpt.start(["serve", "--memory", "--port", "0", ...flags], { env })
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  const bob = yield* Cpt.connected(port)
  bob.write(`CONNECT bob\nSEND red secret\n${"x".repeat(10_000)}\n`)
  assert.deepStrictEqual([yield* bob.line, yield* bob.line, yield* bob.line], [
    "ACCEPT",
    "ACK",
    "DECLINE line_too_long"
  ])
  bob.socket.end()
  assert.strictEqual(yield* bob.line, "(end)")
  return server
})

/** The messages of all records that a collector was sent as JSON. */
const recorded = (bodies: ReadonlyArray<{ readonly path: string; readonly body: string }>) =>
  bodies.filter(({ path }) => path === "/v1/logs").flatMap(({ body }) =>
    decodeLogs(body).resourceLogs.flatMap(({ scopeLogs }) =>
      scopeLogs.flatMap(({ logRecords }) => logRecords.map(({ body }) => body.stringValue))
    )
  )

const decodeLogs = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({
  resourceLogs: Schema.Array(Schema.Struct({
    scopeLogs: Schema.Array(Schema.Struct({
      logRecords: Schema.Array(Schema.Struct({ body: Schema.Struct({ stringValue: Schema.String }) }))
    }))
  }))
})))

/** The messages of what a server logs on stderr from now on. */
const noted = Effect.fnUntraced(function*({ note }: { readonly note: Effect.Effect<string> }) {
  const messages: Array<string> = []
  for (let line; (line = yield* note) !== "(end)";) messages.push(decodeLine(line).message)
  return messages
})

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ message: Schema.String })))

describe("OTLP", () => {
  const limit = "a limit is reached"
  const ended = "session ended"
  const cases: ReadonlyArray<
    readonly [
      what: string,
      flags: ReadonlyArray<string>,
      env: Record<string, string>,
      onStderr: Array<string>,
      atCollector: Array<string>
    ]
  > = [
    ["the log is on stderr, and each line of it once at the collector", [], {}, [limit, ended], [limit, ended]],
    ["what is not logged is not sent either", ["--log-level", "warn"], {}, [limit], [limit]],
    ["the log is on stderr alone where it is not to be sent", [], { OTEL_LOGS_EXPORTER: "none" }, [limit, ended], []]
  ]
  for (const [what, flags, env, onStderr, atCollector] of cases) {
    it.live(what, () =>
      Effect.gen(function*() {
        const { bodies, endpoint } = yield* collector()
        const server = yield* served({
          OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
          OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
          OTEL_BLRP_SCHEDULE_DELAY: "600000", // what is sent is sent when it stops
          ...env
        }, ...flags)
        yield* server.signal("SIGTERM")
        assert.strictEqual(yield* server.status, 0)
        assert.deepStrictEqual(yield* noted(server), onStderr)
        assert.deepStrictEqual(recorded(bodies), atCollector)
      }))
  }

  it.live("has each session as a span and a line of the log, and what was counted; and nothing that was said", () =>
    Effect.gen(function*() {
      const { bodies, endpoint, sent } = yield* collector()
      const server = yield* served({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
        OTEL_METRIC_EXPORT_INTERVAL: "100",
        OTEL_BSP_SCHEDULE_DELAY: "100"
      })
      const span = yield* sent("/v1/traces", "cpt.session")
      assert.include(span.body, `{"key":"user","value":{"stringValue":"bob"}}`)
      assert.include(span.body, `{"key":"service.name","value":{"stringValue":"cpt"}}`)
      assert.include(span.body, `{"key":"deployment.environment","value":{"stringValue":"test"}}`)
      const line = yield* sent("/v1/logs", "session ended")
      assert.include(line.body, `{"key":"why","value":{"stringValue":"peer ended"}}`)
      yield* sent("/v1/metrics", `"name":"cpt_messages_total"`)
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.status, 0)
      assert.notInclude(JSON.stringify(bodies), "secret")
    }))

  it.live("has at the end what was counted until then, however short that was, and with the administration too", () =>
    Effect.gen(function*() {
      for (const flags of [[], ["--http", `127.0.0.1:${yield* Cpt.freePort}`]]) {
        const { bodies, endpoint } = yield* collector()
        const server = yield* served({
          OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${endpoint}/v1/metrics`,
          OTEL_EXPORTER_OTLP_PROTOCOL: "http/json"
        }, ...flags)
        yield* server.signal("SIGTERM")
        assert.strictEqual(yield* server.status, 0)
        const last = bodies.at(-1)?.body ?? ""
        assert.match(last, /"name":"cpt_messages_total".*?"asDouble":1\D/)
        assert.match(last, /"name":"cpt_sessions".*?"asDouble":0\D/)
      }
    }))

  it.live("has the name of the resource where OTEL_SERVICE_NAME says none", () =>
    Effect.gen(function*() {
      const cases = [
        [{ OTEL_RESOURCE_ATTRIBUTES: "a=b" }, "cpt"],
        [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=zz,a=b" }, "zz"],
        [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=zz", OTEL_SERVICE_NAME: "chat" }, "chat"]
      ] as const
      yield* Effect.forEach(cases, ([env, name]) =>
        Effect.gen(function*() {
          const { bodies, endpoint } = yield* collector()
          const server = yield* served({
            OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `${endpoint}/v1/logs`,
            OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
            ...env
          })
          yield* server.signal("SIGTERM")
          assert.strictEqual(yield* server.status, 0)
          const said = bodies.map(({ body }) => /"service.name","value":{"stringValue":"(.*?)"}/.exec(body)?.[1])
          assert.deepStrictEqual([...new Set(said)], [name])
        }))
    }))

  it.live("has as many sessions as spans as OTEL_TRACES_SAMPLER says", () =>
    Effect.gen(function*() {
      const cases = [
        ["always_on", "0", 100, 100],
        ["always_off", "", 0, 0],
        ["traceidratio", "", 100, 100],
        ["traceidratio", "0", 0, 0],
        ["parentbased_always_off", "", 0, 0],
        ["parentbased_traceidratio", "0.5", 10, 90] // others come once in 10^17 times
      ] as const
      yield* Effect.forEach(cases, ([sampler, argument, least, most]) =>
        Effect.gen(function*() {
          const { bodies, endpoint } = yield* collector()
          const server = yield* Cpt.start(["serve", "--memory", "--port", "0"], {
            env: {
              OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint}/v1/traces`,
              OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
              OTEL_TRACES_SAMPLER: sampler,
              OTEL_TRACES_SAMPLER_ARG: argument
            }
          })
          const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
          for (let session = 0; session < 100; session++) {
            const who = yield* Cpt.connected(port)
            who.socket.end()
            assert.strictEqual(yield* who.line, "(end)")
          }
          yield* server.signal("SIGTERM")
          assert.strictEqual(yield* server.status, 0)
          const spans = bodies.map(({ body }) => body.split("cpt.session").length - 1).reduce((sum, of) => sum + of, 0)
          assert.isAtLeast(spans, least, sampler)
          assert.isAtMost(spans, most, sampler)
        }))
    }))

  it.live("has no span of what an administrator asks, nor of what machines do: a session's is the only one", () =>
    Effect.gen(function*() {
      const { bodies, endpoint, sent } = yield* collector()
      const folder = yield* Cpt.folder
      const probes = `http://127.0.0.1:${yield* Cpt.freePort}`
      const server = yield* Cpt.start(["serve", "--port", "0", "--data", folder, "--http", probes.slice(7)], {
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
          OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
          OTEL_LOGS_EXPORTER: "none",
          OTEL_METRICS_EXPORTER: "none"
        }
      })
      const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
      assert.strictEqual((yield* Cpt.run(["account", "list", "--data", folder])).status, 0)
      assert.strictEqual((yield* Cpt.run(["account", "lock", "eve", "--data", folder])).status, 0)
      for (const path of ["/healthz", "/healthz?who=ann", "/nothing"]) {
        yield* Effect.promise(() => fetch(`${probes}${path}`))
      }
      const bob = yield* Cpt.connected(port)
      bob.write("CONNECT bob\n")
      assert.strictEqual(yield* bob.line, "ACCEPT")
      bob.socket.end()
      assert.strictEqual(yield* bob.line, "(end)")
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.status, 0)
      yield* sent("/v1/traces", "cpt.session")
      const spans = bodies.flatMap(({ body }) => JSON.parse(body).resourceSpans).flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans)
      assert.deepStrictEqual(spans.map(({ name }) => name), ["cpt.session"])
    }))

  it.live("has no span of who was refused and has had no session", () =>
    Effect.gen(function*() {
      const { bodies, endpoint } = yield* collector()
      const server = yield* Cpt.start(["serve", "--memory", "--port", "0", "--max-sessions", "1"], {
        env: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint}/v1/traces`, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }
      })
      const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
      const ann = yield* Cpt.connected(port)
      ann.write("CONNECT ann\n")
      assert.strictEqual(yield* ann.line, "ACCEPT")
      const bob = yield* Cpt.connected(port)
      assert.deepStrictEqual([yield* bob.line, yield* bob.line], ["DECLINE server_full", "(end)"])
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.status, 0)
      const spans = bodies.map(({ body }) => body.split("cpt.session").length - 1)
      assert.deepStrictEqual(spans, [1])
      assert.include(bodies[0]?.body, `{"key":"user","value":{"stringValue":"ann"}}`)
    }))

  it.live("is in protobuf by default, and only of what was asked for; what is left is sent at the end", () =>
    Effect.gen(function*() {
      const { bodies, endpoint, sent } = yield* collector()
      const server = yield* served({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_TRACES_EXPORTER: "none",
        OTEL_METRICS_EXPORTER: "none",
        OTEL_SERVICE_NAME: "chat"
      })
      yield* server.signal("SIGTERM")
      assert.strictEqual(yield* server.status, 0)
      const { body, type } = yield* sent("/v1/logs", "session ended")
      assert.strictEqual(type, "application/x-protobuf")
      assert.include(body, "chat")
      assert.deepStrictEqual([...new Set(bodies.map(({ path }) => path))], ["/v1/logs"])
    }))

  it.live("is off where OTEL_SDK_DISABLED is true, in whatever case, and on where it is something else", () =>
    Effect.gen(function*() {
      for (
        const [value, isOff] of [["true", true], ["TRUE", true], ["True", true], ["False", false], [
          "x",
          false
        ]] as const
      ) {
        const { bodies, endpoint } = yield* collector()
        const server = yield* served({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: value })
        yield* server.signal("SIGTERM")
        assert.strictEqual(yield* server.status, 0)
        assert.strictEqual(bodies.length === 0, isOff, value)
      }
    }))

  it.live("does not keep a server whose collector is not there, or does not answer", () =>
    Effect.gen(function*() {
      const silent = yield* collector(() => {})
      for (const endpoint of [silent.endpoint, `http://127.0.0.1:${yield* Cpt.freePort}`]) {
        const server = yield* served({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })
        const stopping = performance.now()
        yield* server.signal("SIGTERM")
        assert.strictEqual(yield* server.status, 0)
        assert.isBelow(performance.now() - stopping, 10_000) // it is 5 seconds in the contract
      }
    }))

  it.live("says in one line what is wrong with a variable", () =>
    Effect.gen(function*() {
      const cases = [
        [{ OTEL_EXPORTER_OTLP_ENDPOINT: "here" }, /^cpt: OTEL_EXPORTER_OTLP_ENDPOINT "here": expected a URL, .*\n$/],
        [
          { OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "grpc" },
          /^cpt: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL "grpc": expected http\/protobuf or http\/json\n$/
        ],
        ...[
          ["OTEL_EXPORTER_OTLP_TIMEOUT", "soon"],
          ["OTEL_METRIC_EXPORT_INTERVAL", "0"],
          ["OTEL_METRIC_EXPORT_INTERVAL", "10000000000"],
          ["OTEL_BLRP_SCHEDULE_DELAY", "-5"]
        ].map(([name = "", value = ""]) =>
          [
            { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", [name]: value },
            new RegExp(`^cpt: ${name} "${value}": expected a whole number from 1 to 2147483647\n$`)
          ] as const
        ),
        [
          { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_COMPRESSION: "zip" },
          /^cpt: OTEL_EXPORTER_OTLP_COMPRESSION: Expected "gzip" \| "none"\n$/
        ],
        [
          { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_HEADERS: "key=%secret" },
          /^cpt: OTEL_EXPORTER_OTLP_HEADERS: (?!.*secret).*\n$/
        ],
        [
          { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_TRACES_SAMPLER: "some" },
          /^cpt: OTEL_TRACES_SAMPLER "some": expected always_on, .*\n$/
        ],
        [
          {
            OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
            OTEL_TRACES_SAMPLER: "traceidratio",
            OTEL_TRACES_SAMPLER_ARG: "2"
          },
          /^cpt: OTEL_TRACES_SAMPLER_ARG "2": expected a number from 0 to 1\n$/
        ],
        [{ OTEL_LOGS_EXPORTER: "console" }, /^cpt: OTEL_LOGS_EXPORTER "console": expected otlp or none\n$/]
      ] as const
      yield* Effect.forEach(cases, ([env, message]) =>
        Effect.map(Cpt.run(["serve", "--memory", "--port", "0"], { env }), ({ status, stderr, stdout }) => {
          assert.deepStrictEqual([status, stdout], [2, ""])
          assert.match(stderr, message)
        }), { concurrency: 2 })
    }))
})
