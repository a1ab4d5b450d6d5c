/** `/metrics` as Prometheus reads it; and that the documents tell of just what there is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Cpt from "./support/Cpt.ts"

const docs = (name: string) => readFileSync(fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url)), "utf8")

interface Family {
  readonly name: string
  readonly kind: string
  readonly samples: Array<
    { readonly name: string; readonly labels: ReadonlyMap<string, string>; readonly value: number }
  >
}

const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]Inf|[-+0-9.e]+)$/
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/y

const labelsOf = (text: string): ReadonlyMap<string, string> => {
  const labels = new Map<string, string>()
  for (let at = 0; at < text.length; at++) {
    label.lastIndex = at
    const [all = "", name = "", value = ""] = label.exec(text) ?? assert.fail(`no labels: ${text}`)
    assert.isFalse(labels.has(name), `a label twice: ${text}`)
    labels.set(name, value)
    at += all.length
    assert.isTrue(at === text.length || text[at] === ",", `no labels: ${text}`)
  }
  return labels
}

/** Takes an exposition apart, as strictly as Prometheus' own tools do. */
const parse = (text: string): ReadonlyArray<Family> => {
  assert.isTrue(text.endsWith("\n"))
  const families: Array<Family> = []
  const seen = new Set<string>()
  let help = ""
  for (const line of text.slice(0, -1).split("\n")) {
    const [, word, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (word === "HELP") {
      assert.match(rest, /^\S.*\.$/, "help is a sentence")
      help = name
    } else if (word === "TYPE") {
      assert.strictEqual(name, help, "each metric says what it is")
      assert.isFalse(families.some((family) => family.name === name), `${name} comes once`)
      assert.include(["counter", "gauge", "histogram"], rest)
      assert.strictEqual(name.endsWith("_total"), rest === "counter", `the name of ${name}`)
      families.push({ name, kind: rest, samples: [] })
    } else {
      const [, name = "", labels = "", value = ""] = sampleLine.exec(line) ?? assert.fail(`no sample: ${line}`)
      const family = families.at(-1)
      assert.isDefined(family, line)
      const suffixes = family?.kind === "histogram" ? ["_bucket", "_sum", "_count"] : [""]
      assert.isTrue(suffixes.some((suffix) => name === `${family?.name}${suffix}`), `${name} belongs to its metric`)
      const key = line.slice(0, line.lastIndexOf(" "))
      assert.isFalse(seen.has(key), `${key} comes once`)
      seen.add(key)
      family?.samples.push({ name, labels: labelsOf(labels), value: Number(value.replace("Inf", "Infinity")) })
    }
  }
  return families
}

/** The buckets of a histogram go up to everything. */
const checkHistogram = ({ name, samples }: Family): void => {
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`)
  const bounds = buckets.map(({ labels }) => Number(labels.get("le")?.replace("+Inf", "Infinity")))
  assert.deepStrictEqual(bounds, bounds.toSorted((a, b) => a - b), name)
  assert.strictEqual(bounds.at(-1), Infinity, name)
  const counts = buckets.map(({ value }) => value)
  assert.deepStrictEqual(counts, counts.toSorted((a, b) => a - b), `the buckets of ${name} hold those before them`)
  const count = samples.find((sample) => sample.name === `${name}_count`)?.value ?? 0
  const sum = samples.find((sample) => sample.name === `${name}_sum`)?.value
  assert.strictEqual(counts.at(-1), count, name)
  assert.isTrue(sum !== undefined && (sum === 0 || (sum > 0 && count > 0)), name)
}

/** What a server shows in whose life a few things happened. */
const scraped = Effect.gen(function*() {
  const http = yield* Cpt.freePort
  const server = yield* Cpt.start(["serve", "--port", "0", "--http", `127.0.0.1:${http}`], {
    env: { CPT_DATA: yield* Cpt.folder }
  })
  const port = Number(/:(\d+);/.exec(yield* server.line)?.[1])
  const [ann, bob] = [yield* Cpt.connected(port), yield* Cpt.connected(port)]
  ann.write("CONNECT ann\nSYNC red 0\n")
  for (const answer of ["ACCEPT", "ENDSYNC"]) assert.strictEqual(yield* ann.line, answer)
  bob.write("CONNECT ann\nCONNECT bob\nSEND red one\nSEND red two\nNONSENSE\n")
  for (const answer of ["DECLINE username_taken", "ACCEPT", "ACK", "ACK", "DECLINE invalid_command"]) {
    assert.strictEqual(yield* bob.line, answer)
  }
  for (const text of ["one", "two"]) assert.include(yield* ann.line, ` ${text}`)
  const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${http}/metrics`))
  assert.strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
  return parse(yield* Effect.promise(() => response.text()))
})

describe("/metrics", () => {
  it.live("is what Prometheus reads, and right", () =>
    Effect.gen(function*() {
      const families = yield* scraped
      for (const family of families) if (family.kind === "histogram") checkHistogram(family)
      const value = (name: string, labels: Record<string, string> = {}) =>
        families.flatMap(({ samples }) => samples).find((sample) =>
          sample.name === name && Object.entries(labels).every(([name, value]) => sample.labels.get(name) === value)
        )?.value
      const expected = {
        cpt_sessions: 2,
        cpt_users: 2,
        cpt_connections_total: 2,
        cpt_messages_total: 2,
        cpt_deliveries_total: 2,
        cpt_syncs_total: 1,
        cpt_ack_seconds_count: 2,
        cpt_commit_messages_sum: 2,
        cpt_draining: 0,
        cpt_storage_failing: 0
      }
      for (const [name, count] of Object.entries(expected)) assert.strictEqual(value(name), count, name)
      assert.strictEqual(value("cpt_logins_total", { result: "accepted" }), 2)
      assert.strictEqual(value("cpt_logins_total", { result: "username_taken" }), 1)
      assert.strictEqual(value("cpt_declines_total", { reason: "invalid_command" }), 1)
      assert.isAbove(value("process_resident_memory_bytes") ?? 0, 1e7)
      assert.isAbove(value("cpt_stored_bytes") ?? 0, 0)
      assert.isAbove(value("cpt_ack_seconds_sum") ?? 0, 0)
      assert.isAbove(value("cpt_commit_seconds_sum") ?? 0, 0)
    }))

  it.live("is explained in docs/operations.md, metric by metric, and shown by docs/grafana.json", () =>
    Effect.gen(function*() {
      const families = (yield* scraped).map(({ kind, name }) => ({ kind, name })).toSorted((a, b) =>
        a.name < b.name ? -1 : 1
      )
      const rows = docs("operations.md").matchAll(
        /^\| ((?:`[a-z_]+(?:\{[a-z]+\})?`(?:, )?)+) +\| (counter|gauge|histogram) /gm
      )
      const explained = [...rows].flatMap(([, names = "", kind]) =>
        [...names.matchAll(/`([a-z_]+)/g)].map(([, name]) => ({ kind, name }))
      )
      assert.deepStrictEqual(explained.toSorted((a, b) => String(a.name) < String(b.name) ? -1 : 1), families)

      const Dashboard = Schema.fromJsonString(Schema.Struct({
        panels: Schema.Array(Schema.Struct({
          targets: Schema.optionalKey(Schema.Array(Schema.Struct({ expr: Schema.String })))
        }))
      }))
      const { panels } = yield* Schema.decodeUnknownEffect(Dashboard)(docs("grafana.json"))
      const used = panels.flatMap(({ targets = [] }) =>
        targets.flatMap(({ expr }) => expr.match(/\b(?:cpt|process)_[a-z_]+/g) ?? [])
      )
      const names = new Set(used.map((name) => name.replace(/_(?:bucket|sum|count)$/, "")))
      assert.deepStrictEqual([...names].filter((name) => !families.some((family) => family.name === name)), [])
      assert.deepStrictEqual(families.map(({ name }) => name).filter((name) => !names.has(name)), ["cpt_info"])
    }))
})
