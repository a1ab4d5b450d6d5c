/**
 * What is declared, in a file: JSON, for whoever has that from somewhere else. It is read again when it changes; what is
 * not right then is said, and what was declared before holds.
 *
 *     {
 *       "accounts": [{ "name": "alice" }, { "name": "bob", "ranges": ["10.0.0.0/8", "fd00::/8"] }],
 *       "groups": [{ "name": "staff", "members": ["alice", "bob"] }]
 *     }
 */
import { Duration, Effect, Layer, Schema, SchemaIssue } from "effect"
import { isUtf8 } from "node:buffer"
import { readFile, stat } from "node:fs/promises"
import { Account } from "../Account.ts"
import { Group } from "../Group.ts"
import { CannotLoad, DeclaredElsewhere, Keeper, type Kept } from "../Keeper.ts"
import * as Pauses from "../Pauses.ts"

/** How often it is looked whether the file is another one; read is what has stayed the same for so long. */
const lookEvery = Duration.millis(250)

const Contents = Schema.Struct({
  accounts: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  groups: Schema.optionalKey(Schema.Array(Schema.Unknown))
})
const options = { onExcessProperty: "error" } as const
const decode = Schema.decodeUnknownResult(Contents, options)
const explain = SchemaIssue.makeFormatterStandardSchemaV1()

/** What is wrong, and where: `accounts[1].ranges[0]: …` */
const faultOf = ({ issue }: Schema.SchemaError, ...place: ReadonlyArray<PropertyKey>): string => {
  const [first] = explain(issue).issues
  const path = [...place, ...(first?.path ?? []).map((step) => typeof step === "object" ? step.key : step)]
  const where = path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("").slice(1)
  const message = (first?.message ?? "").replaceAll(/\s+/g, " ")
  return where === "" ? message : `${where}: ${message}`
}

/** Changes with the file, also when another one is put in its place; undefined if there is none. */
const stampOf = (path: string) =>
  Effect.promise(() =>
    stat(path, { bigint: true }).then(
      ({ ctimeNs, dev, ino, mtimeNs, size }) => [dev, ino, size, mtimeNs, ctimeNs].join(),
      () => undefined
    )
  )

const codes: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory"
}

const bytesOf = (path: string) =>
  Effect.tryPromise({
    try: () => readFile(path),
    catch: (error) => {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
      return new CannotLoad({ message: `${path}: ${codes[code] ?? code}` })
    }
  })

/**
 * Reads the entries of one kind. Those that stand there as they did the last time are the same objects: of thousands mostly
 * a few have changed, and each takes some 20 µs to decode, and as long to compare.
 */
const entriesOf = <A extends Account | Group>(place: string, schema: Schema.Codec<A, unknown>) => {
  const decode = Schema.decodeUnknownResult(schema, options)
  let known: ReadonlyMap<string, A> = new Map() // by their JSON
  return Effect.fnUntraced(function*(entries: ReadonlyArray<unknown>) {
    const pauses = Pauses.make()
    const next = new Map<string, A>()
    const all: Array<A> = []
    for (const [index, entry] of entries.entries()) {
      const text = JSON.stringify(entry)
      const decoded = known.get(text) ??
        (yield* Effect.mapError(Effect.fromResult(decode(entry)), (error) => faultOf(error, place, index)))
      next.set(text, decoded)
      all.push(decoded)
      yield* pauses
    }
    known = next
    return all
  })
}

/** Reads what stands in the file now. */
const reader = (path: string): Effect.Effect<Kept, CannotLoad> => {
  const [accountsOf, groupsOf] = [entriesOf("accounts", Account), entriesOf("groups", Group)]
  const wrong = (why: string) => new CannotLoad({ message: `${path} is not right: ${why}` })
  return Effect.gen(function*() {
    const bytes = yield* bytesOf(path)
    if (!isUtf8(bytes)) return yield* wrong("it is not valid UTF-8") // which is never repaired (CPT 1.2)
    const json = yield* Effect.try({
      try: (): unknown => JSON.parse(new TextDecoder().decode(bytes)), // without a byte order mark
      catch: () => wrong("it is no JSON")
    })
    const contents = yield* Effect.mapError(Effect.fromResult(decode(json)), (error) => wrong(faultOf(error)))
    const accounts = yield* Effect.mapError(accountsOf(contents.accounts ?? []), wrong)
    const groups = yield* Effect.mapError(groupsOf(contents.groups ?? []), wrong)
    const names = new Set<string>()
    for (const { name } of [...accounts, ...groups]) {
      if (names.has(name)) return yield* wrong(`${name} is declared twice`)
      names.add(name)
    }
    return { accounts, groups }
  })
}

/** Whether the file is right. */
export const check = (path: string): Effect.Effect<void, CannotLoad> => Effect.asVoid(reader(path))

const make = (path: string) => {
  let loaded: string | undefined
  const read = reader(path)

  const load = Effect.gen(function*() {
    loaded = yield* stampOf(path)
    return yield* read
  })

  const changed = Effect.gen(function*() {
    for (let before = loaded;;) {
      yield* Effect.sleep(lookEvery)
      const stamp = yield* stampOf(path)
      if (stamp !== loaded && stamp === before) return
      before = stamp
    }
  })

  const elsewhere = new DeclaredElsewhere({ message: `accounts and groups are declared in ${path}: change them there` })
  return Keeper.of({
    description: path,
    load,
    save: () => Effect.fail(elsewhere),
    changed,
    notTaken: Effect.sync(() => {
      loaded = undefined
    })
  })
}

export const layer = (path: string): Layer.Layer<Keeper> => Layer.sync(Keeper, () => make(path))
