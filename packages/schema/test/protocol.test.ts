/** docs/protocol.md is what the tests cite; so it must say what the code does, and have the clauses that are cited. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Command from "../src/Command.ts"
import { knownReasons } from "../src/Decline.ts"
import * as Limits from "../src/Limits.ts"

const root = fileURLToPath(new URL("../../../", import.meta.url))
const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8")
const protocol = read("docs/protocol.md")

/** The text of each clause, by its number. */
const clauses = new Map(
  protocol.split(/^(?=[0-9]+\.[0-9]+ )/m).slice(1).map((text) => [text.slice(0, text.indexOf(" ")), text])
)
const clause = (number: string): string => clauses.get(number) ?? ""

/** What stands in the code spans of a clause. */
const codeOf = (text: string): ReadonlyArray<string> => Array.from(text.matchAll(/`([^`\n]+)`/g), ([, code]) => code!)

describe("docs/protocol.md", () => {
  it("numbers the clauses of each section from 1 on, without a gap", () => {
    const last = new Map<number, number>()
    for (const number of clauses.keys()) {
      const [section, at] = number.split(".").map(Number) as [number, number]
      assert.strictEqual(at, (last.get(section) ?? 0) + 1, number)
      last.set(section, at)
    }
    assert.deepStrictEqual([...last.keys()], [0, 1, 2, 3, 4, 5, 6])
  })

  it("has every clause that is cited, in the sources, tests, examples and documents", () => {
    const missing = globSync(["packages/*/{src,test}/**/*.ts", "examples/**/*.ts", "*.md", "docs/*.md"], {
      cwd: root,
      exclude: (path) => path.endsWith("node_modules")
    }).flatMap((path) =>
      Array.from(read(path).matchAll(/CPT ((?:[0-9]+\.[0-9]+(?:,\s+(?:\* )?)?)+)/g), ([, list]) => list!)
        .flatMap((list) => list.match(/[0-9]+\.[0-9]+/g) ?? [])
        .filter((number) => !clauses.has(number))
        .map((number) => `${path} cites CPT ${number}`)
    )
    assert.deepStrictEqual(missing, [])
  })

  it("CPT 0.3: its table has every command that is sent", () => {
    const words = Array.from(clause("0.3").matchAll(/^\| `([A-Z]+)/gm), ([, word]) => word)
    assert.deepStrictEqual(
      [...new Set(words)].toSorted(),
      ["ACCEPT", "ACK", "CONNECT", "DECLINE", "ENDSYNC", "MSG", "SEND", "SYNC"]
    )
  })

  it("CPT 0.5: its example session can be said, line by line", () => {
    const lines = Array.from(clause("0.5").matchAll(/^[AB]([<>]) (.+)$/gm), ([, way, line]) => [way, line!] as const)
    assert.isAbove(lines.length, 20)
    for (const [way, line] of lines) {
      const isRead = way === ">"
        ? Result.isSuccess(Command.readClientLine(line))
        : Result.isSuccess(Command.readServerLine(line))
      assert.isTrue(isRead, line)
    }
  })

  it("CPT 3.8: its table has every known reason, in the order of the code", () => {
    assert.deepStrictEqual(Array.from(clause("3.8").matchAll(/^\| `([a-z_]+)`/gm), ([, word]) => word), knownReasons)
  })

  it("CPT 6.4: its examples are read as it says", () => {
    const example = codeOf(clause("6.4")).find((code) => code.startsWith("MSG red 7"))!
    const { group, message, sender } = Result.getOrThrow(Command.readServerLine(example)) as Command.Msg
    assert.deepStrictEqual([group, sender, message], ["red", "7", "x"])
  })

  it("gives the numbers of the code", () => {
    const number = (value: number): string => value.toLocaleString("en")
    for (
      const [where, what] of [
        ["0.1", String(Limits.defaultPort)],
        ["1.4", `${number(Limits.maxLineBytes)} bytes`],
        ["1.8", `${number(Limits.maxReceivedLineBytes)} bytes`],
        ["2.1", `1 to ${Limits.maxNameBytes} bytes`],
        ["3.5", `${Limits.maxDeclinesInARow} declines`],
        ["3.7", Limits.maxRefusedLogins === 3 ? "The third one" : "?"],
        ["3.9", `${Limits.loginDeadline / 1000} seconds`],
        ["4.2", `${Limits.maxTimestampDigits} digits`],
        ["4.4", `${Limits.resendWindow / 1000} seconds`],
        ["5.8", `${Limits.writeDeadline / 1000} seconds`]
      ] as const
    ) assert.include(clause(where).replace(/\s+/g, " "), what, `clause ${where}`)
  })
})
