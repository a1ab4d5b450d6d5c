/** What is declared, as rows of the database: under each name its rules, as JSON, as they stand in a file. */
import { Effect, Result, Schema } from "effect"
import { Account } from "../Account.ts"
import { Group } from "../Group.ts"
import { CannotLoad, type Entry, type Kept } from "../Keeper.ts"
import type { DeclaredName } from "../MessageStore/sqlite/Steps.ts"

const readAccount = Schema.decodeUnknownResult(Schema.fromJsonString(Account))
const readGroup = Schema.decodeUnknownResult(Schema.fromJsonString(Group))
const writeAccount = Schema.encodeSync(Account)
const writeGroup = Schema.encodeSync(Group)

export const ofEntry = (entry: Entry): DeclaredName => {
  const { kind, name } = entry
  if (entry.rules === undefined) return { kind, name, rules: undefined }
  const rules = entry.kind === "user" ? writeAccount(entry.rules) : writeGroup(entry.rules)
  return { kind, name, rules: JSON.stringify(rules) }
}

/** What a row says, or what is wrong with it. */
export const toEntry = ({ kind, name, rules }: DeclaredName): Result.Result<Entry, string> => {
  const entry = kind === "user"
    ? Result.map(readAccount(rules), (rules): Entry => ({ kind, name: rules.name, rules }))
    : Result.map(readGroup(rules), (rules): Entry => ({ kind, name: rules.name, rules }))
  return entry.pipe(
    Result.mapError(({ message }) => `${name}: ${message.replaceAll(/\s+/g, " ")}`),
    Result.filterOrFail((entry) => entry.name === name, (entry) => `${name} has the rules of ${entry.name}`)
  )
}

export const toKept = Effect.fnUntraced(function*(place: string, rows: ReadonlyArray<DeclaredName>) {
  const accounts: Array<Account> = []
  const groups: Array<Group> = []
  for (const row of rows) {
    const { kind, rules } = yield* Effect.mapError(
      Effect.fromResult(toEntry(row)),
      (fault) => new CannotLoad({ message: `what is declared in ${place} cannot be read: ${fault}` })
    )
    if (kind === "user" && rules !== undefined) accounts.push(rules)
    if (kind === "group" && rules !== undefined) groups.push(rules)
  }
  const kept: Kept = { accounts, groups }
  return kept
})
