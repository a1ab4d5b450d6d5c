/** What holds of every case, whatever server it is run against. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { cases, profiles, select } from "../src/index.ts"
import { parse } from "../src/Script.ts"

/** A page of the specification, white space aside. */
const page = (name: string): string =>
  readFileSync(new URL(`../spec/${name}`, import.meta.url), "utf8").replaceAll(/\s+/g, " ")

const specification = page("CPT.md")
const reading = page("READING.md")

describe("a case", () => {
  it.each(cases)("quotes the specification, word for word: $id", ({ level, quote }) => {
    assert.include(level === "our reading" ? reading : specification, quote)
  })

  it.each(cases)("has an id that says where it belongs, by a clause of the reading: $id", ({ id }) => {
    const [, section, clause = ""] = /^([a-z]+)\/(\d\.\d+)\/[a-z0-9-]+$/.exec(id) ?? []
    assert.isDefined(section, id)
    assert.isTrue(clause.startsWith("0.") || reading.includes(`${clause} `), `READING.md has no clause ${clause}`)
  })

  it("of core is a MUST, and every MUST of the specification has one", () => {
    for (const { id, level, profiles } of cases) if (profiles.includes("core")) assert.strictEqual(level, "MUST", id)
    const ofServers = specification.split(/(?<=[.])\s|(?=\| )|\s(?=#)/).filter((sentence) =>
      /[Ss]erver.* (?:MUST|SHALL)|value MUST/.test(sentence) && !sentence.includes("key words")
    )
    assert.isAtLeast(ofServers.length, 6)
    for (const sentence of ofServers) {
      assert.isTrue(
        cases.some(({ profiles, quote }) => profiles.includes("core") && sentence.includes(quote.replace(/\.$/, ""))),
        sentence
      )
    }
  })

  it("of identity is there for every reason to decline", () => {
    const [, custom = ""] = /Custom words, only where no default fits: (.*?)\. /.exec(reading) ?? []
    const table = [...specification.matchAll(/\| ([a-z_]+) +\| [A-Z]/g)].map(([, word = ""]) => word)
    const words = [...table, ...custom.split(", ").map((word) => word.slice(1, -1))]
    assert.lengthOf(words, 17)
    const scripts = select(cases, { profiles: ["identity"], ids: [] }).map(({ script, title }) => `${title} ${script}`)
    for (const word of words) assert.isTrue(scripts.some((script) => script.includes(word)), word)
  })

  it("that is a transcript can be read, line for line", () => {
    for (const { script } of cases) if (/^\s*[a-z]+[:<>]/.test(script)) assert.isNotEmpty(parse(script))
  })

  it("has an id and a title of its own", () => {
    assert.strictEqual(new Set(cases.map(({ id }) => id)).size, cases.length)
    for (const profile of profiles) assert.isNotEmpty(select(cases, { profiles: [profile], ids: [] }), profile)
  })
})

describe("a selection", () => {
  const idsOf = (...ids: ReadonlyArray<string>) => select(cases, { profiles: [], ids }).map(({ id }) => id)

  it("is by whole ids, by how they begin, and with a * for anything", () => {
    assert.deepStrictEqual(idsOf("send/4.1/each"), ["send/4.1/each"])
    assert.include(idsOf("send/"), "send/4.1/each")
    assert.include(idsOf("send/4.1"), "send/4.1/each")
    assert.include(idsOf("*/each"), "send/4.1/each")
    assert.deepStrictEqual(idsOf("sen"), [])
    assert.deepStrictEqual(idsOf("send/4.1/eac"), [])
  })

  it("is of those that are meant by id and in a profile, where both are said", () => {
    const both = select(cases, { profiles: ["core"], ids: ["send/"] })
    assert.isNotEmpty(both)
    for (const { id, profiles } of both) assert.isTrue(id.startsWith("send/") && profiles.includes("core"))
  })
})
