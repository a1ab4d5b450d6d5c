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

/** How often it is looked whether the file is another one; read is what has stayed the same for so long. */
const lookEvery = Duration.millis(250)

const Contents = Schema.Struct({
  accounts: Schema.optionalKey(Schema.Array(Account)),
  groups: Schema.optionalKey(Schema.Array(Group))
})
const decode = Schema.decodeUnknownEffect(Contents, { onExcessProperty: "error" })
const explain = SchemaIssue.makeFormatterStandardSchemaV1()

/** What is wrong, and where: `accounts[1].ranges[0]: …` */
const faultOf = ({ issue }: Schema.SchemaError): string => {
  const [first] = explain(issue).issues
  const path = (first?.path ?? []).map((step) => typeof step === "object" ? step.key : step)
  const place = path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("").slice(1)
  const message = (first?.message ?? "").replaceAll(/\s+/g, " ")
  return place === "" ? message : `${place}: ${message}`
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

/** What stands in the file now. */
export const read = Effect.fnUntraced(function*(path: string) {
  const wrong = (why: string) => new CannotLoad({ message: `${path} is not right: ${why}` })
  const bytes = yield* bytesOf(path)
  if (!isUtf8(bytes)) return yield* wrong("it is not valid UTF-8") // which is never repaired (CPT 1.2)
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(new TextDecoder().decode(bytes)), // without a byte order mark
    catch: () => wrong("it is no JSON")
  })
  const { accounts = [], groups = [] } = yield* Effect.mapError(decode(json), (error) => wrong(faultOf(error)))
  const names = new Set<string>()
  for (const { name } of [...accounts, ...groups]) {
    if (names.has(name)) return yield* wrong(`${name} is declared twice`)
    names.add(name)
  }
  const kept: Kept = { accounts, groups }
  return kept
})

const make = (path: string) => {
  let loaded: string | undefined

  const load = Effect.gen(function*() {
    loaded = yield* stampOf(path)
    return yield* read(path)
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
