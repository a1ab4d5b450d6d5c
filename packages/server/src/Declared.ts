/**
 * What an operator has declared: accounts and groups, with their rules. It is looked at for each login, and for each
 * target, so all of it is in memory; `Keeper` is where it lasts. Whoever has to act when it changes is told at once.
 */
import { type Decline, Name } from "@cpt/schema"
import { Effect, Equal, Schema, type Scope, Semaphore } from "effect"
import type { Account } from "./Account.ts"
import { type Group, Rights } from "./Group.ts"
import { CannotLoad, DeclaredElsewhere, type Entry, Keeper, type Kept } from "./Keeper.ts"
import { MessageStore } from "./MessageStore.ts"
import * as Pauses from "./Pauses.ts"

/** Nothing is declared under this name. */
export class NotDeclared extends Schema.TaggedError<NotDeclared>()("NotDeclared", {
  message: Schema.String
}, { httpApiStatus: 404 }) {}

/** Something is declared under this name already. */
export class AlreadyDeclared extends Schema.TaggedError<AlreadyDeclared>()("AlreadyDeclared", {
  message: Schema.String
}, { httpApiStatus: 409 }) {}

/** The name is something else already: of a group as a user's, or of a user as a group's. */
export class NameConflict extends Schema.TaggedError<NameConflict>()("NameConflict", {
  name: Name.Name,
  message: Schema.String
}, { httpApiStatus: 409 }) {}

/** Accounts, or groups. */
export interface Register<A extends Account | Group> {
  readonly get: (name: string) => A | undefined
  /** In the order of their names. */
  readonly all: () => ReadonlyArray<A>
  /** Declares what `change` makes of what is declared under the name so far; one change at a time. */
  readonly change: <E>(
    name: A["name"],
    change: (before: A | undefined) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | NameConflict | DeclaredElsewhere | Decline.StorageUnavailable>
  /** It is no longer declared. What was sent to the name stays, and what it is as long as it has messages. */
  readonly remove: (
    name: A["name"]
  ) => Effect.Effect<void, NotDeclared | DeclaredElsewhere | Decline.StorageUnavailable>
}

/** What has been read, and can be taken over. */
export interface Change {
  /** Of which something will have changed. */
  readonly names: ReadonlySet<string>
  /** From now on it holds, and whoever has to act has been told. */
  readonly commit: () => void
}

export interface Declared {
  readonly accounts: Register<Account>
  readonly groups: Register<Group>
  /** Who may do what in the groups, by their names. */
  readonly rights: ReadonlyMap<string, Rights>
  /**
   * Looks at once whether what is kept is other than it was, and does not wait until that is noticed. Gives the names of
   * which something has changed.
   */
  readonly reload: Effect.Effect<ReadonlySet<string>, CannotLoad | Decline.StorageUnavailable>
  /**
   * The same, for who has more to change in the same step. Until the scope ends nothing else changes, and where it ends
   * without the change, all is as it was.
   */
  readonly prepare: Effect.Effect<Change, CannotLoad | Decline.StorageUnavailable, Scope.Scope>
  /** Tells of the names of which something has changed, as long as the scope lasts. */
  readonly onChange: (listener: (names: ReadonlySet<string>) => void) => Effect.Effect<void, never, Scope.Scope>
}

const noChange: Change = { names: new Set(), commit: () => {} }

/** For a server whose account rules are somebody's own. */
export const nothing: Declared = (() => {
  const elsewhere = new DeclaredElsewhere({ message: "this server has account rules of its own" })
  const register = {
    get: () => undefined,
    all: () => [],
    change: () => Effect.fail(elsewhere),
    remove: () => Effect.fail(elsewhere)
  }
  return {
    accounts: register,
    groups: register,
    rights: new Map(),
    reload: Effect.succeed(new Set<string>()),
    prepare: Effect.succeed(noChange),
    onChange: () => Effect.void
  }
})()

/** What is kept, and from now on what is changed, here or there. */
export const make = Effect.gen(function*() {
  const keeper = yield* Keeper
  const store = yield* MessageStore
  const accounts = new Map<string, Account>()
  const groups = new Map<string, Group>()
  const rights = new Map<string, Rights>()
  const listeners = new Set<(names: ReadonlySet<string>) => void>()
  const one = yield* Semaphore.make(1)
  /** Halfway there is no turning back. */
  const alone = <A, E>(change: Effect.Effect<A, E>) => one.withPermit(Effect.uninterruptible(change))

  let changes = 0
  /** Sorted again when something has changed since. */
  const sortedOnce = <A extends Account | Group>(entries: ReadonlyMap<string, A>) => {
    let [sorted, at]: [ReadonlyArray<A>, number] = [[], -1]
    return () => {
      if (at !== changes) sorted = Array.from(entries.values()).toSorted((a, b) => Name.compare(a.name, b.name))
      at = changes
      return sorted
    }
  }

  const tell = (names: ReadonlySet<string>) => {
    changes++
    for (const name of names) {
      const group = groups.get(name)
      if (group === undefined) rights.delete(name)
      else rights.set(name, new Rights(group))
    }
    for (const listener of listeners) listener(names)
  }

  /** From now on nobody can make it something else (CPT 2.2, 2.3). */
  const take = (kind: Entry["kind"], names: ReadonlyArray<Name.Name>, isMoving = false) =>
    Effect.flatMap(store.declare(kind, names), ([name]) => {
      if (name === undefined) return Effect.void
      const isDeclared = !isMoving && (accounts.has(name) || groups.has(name))
      const message = kind === "user"
        ? `${name} cannot be an account: it is a group${isDeclared ? ", and declared as one" : " already"}`
        : `${name} cannot be a group: it is a user${isDeclared ? ", and has an account" : " already"}`
      return Effect.fail(new NameConflict({ name, message }))
    })

  const register = <A extends Account | Group>(
    entries: Map<string, A>,
    entryOf: (name: A["name"], rules: A | undefined) => Entry
  ): Register<A> => ({
    get: (name) => entries.get(name),
    all: sortedOnce(entries),
    change: (name, change) =>
      alone(Effect.gen(function*() {
        const before = entries.get(name)
        const after = yield* change(before)
        const entry = entryOf(name, after)
        if (before === undefined) yield* take(entry.kind, [name])
        yield* Effect.onError(keeper.save(entry), () => before === undefined ? store.release([name]) : Effect.void)
        entries.set(name, after)
        tell(new Set([name]))
        return after
      })),
    remove: (name) =>
      alone(Effect.gen(function*() {
        const entry = entryOf(name, undefined)
        if (!entries.has(name)) {
          const message = `there is no ${entry.kind === "user" ? "account" : "declared group"} ${name}`
          return yield* new NotDeclared({ message })
        }
        yield* keeper.save(entry)
        entries.delete(name)
        yield* store.release([name])
        tell(new Set([name]))
      }))
  })

  /** The same for names that go from accounts to groups, or back: their old declaration does not stand against it. */
  const move = Effect.fnUntraced(function*(kind: Entry["kind"], names: ReadonlyArray<Name.Name>) {
    yield* store.release(names)
    yield* take(kind, names, true)
  })

  /** What is declared is so in the store too, and `next`, which could not be, is not. */
  const restore = Effect.fnUntraced(function*(next: Kept) {
    yield* store.release(namesOf(next.accounts).filter((name) => !accounts.has(name)))
    yield* store.release(namesOf(next.groups).filter((name) => !groups.has(name)))
    yield* store.declare("user", namesOf([...accounts.values()]))
    yield* store.declare("group", namesOf([...groups.values()]))
  })

  /** All that can fail of it: from now on the names are what they are to be. */
  const settle = Effect.fnUntraced(function*({ accounts: users, groups: others }: Kept) {
    yield* take("user", namesOf(users).filter((name) => !groups.has(name)))
    yield* take("group", namesOf(others).filter((name) => !accounts.has(name)))
    yield* move("user", namesOf(users).filter((name) => groups.has(name)))
    yield* move("group", namesOf(others).filter((name) => accounts.has(name)))
  })

  /** @param committed what is done about these names in the end, where all of it has changed */
  const read = Effect.fnUntraced(function*(committed: (names: ReadonlySet<string>) => Effect.Effect<void>) {
    yield* one.takeScoped(1)
    let end = keeper.notTaken // until it is taken, also when it is left halfway: to be read may take long, or for ever
    yield* Effect.addFinalizer(() => end)
    const next = yield* Effect.tapErrorTag(keeper.load, "CannotLoad", () => end = Effect.void)
    const [nextAccounts, nextGroups] = [byName(next.accounts), byName(next.groups)]
    const names = new Set([
      ...yield* differences(accounts, nextAccounts),
      ...yield* differences(groups, nextGroups)
    ])
    const asBefore = Effect.ignore(restore(next))
    end = Effect.andThen(asBefore, keeper.notTaken)
    yield* Effect.catchTag(settle(next), "NameConflict", ({ message }) => {
      end = asBefore
      return new CannotLoad({ message: `${keeper.description}: ${message}` })
    })
    const change: Change = {
      names,
      commit: () => {
        for (const name of names) {
          put(accounts, name, nextAccounts.get(name))
          put(groups, name, nextGroups.get(name))
        }
        tell(names)
        const gone = [...names].filter((name) => !accounts.has(name) && !groups.has(name))
        end = Effect.andThen(store.release(gone), committed(names))
      }
    }
    return change
  })

  const taken = <E>(reading: Effect.Effect<Change, E, Scope.Scope>) =>
    Effect.scoped(Effect.map(reading, ({ commit, names }) => {
      commit()
      return names
    }))

  yield* taken(read(() => Effect.void))
  const { changed = Effect.never } = keeper
  let isWaiting = false // for the store, and that has been said
  const prepare = keeper.changed === undefined ? Effect.succeed(noChange) : read((names) => {
    isWaiting = false
    return names.size === 0
      ? Effect.void
      : Effect.logInfo(`${keeper.description} is read again; changed: ${listed(names)}`)
  })
  const reload = taken(prepare)
  yield* changed.pipe(
    Effect.andThen(reload),
    Effect.catch(({ _tag, message }) => {
      const isSaid = isWaiting
      isWaiting = _tag === "StorageUnavailable"
      if (isWaiting && isSaid) return Effect.void
      return Effect.logError(`what is declared stays as it was${isWaiting ? " for now" : ""}: ${message}`)
    }),
    Effect.forever,
    Effect.forkScoped
  )

  return {
    accounts: register(accounts, (name, rules) => ({ kind: "user", name, rules })),
    groups: register(groups, (name, rules) => ({ kind: "group", name, rules })),
    rights,
    reload,
    prepare,
    onChange: (listener) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => listeners.add(listener)),
        () => Effect.sync(() => listeners.delete(listener))
      ))
  } satisfies Declared
})

const namesOf = (entries: ReadonlyArray<Account | Group>): Array<Name.Name> => entries.map(({ name }) => name)

const byName = <A extends Account | Group>(entries: ReadonlyArray<A>): ReadonlyMap<string, A> =>
  new Map(entries.map((entry) => [entry.name, entry]))

/** The names of what is other than it was, or gone. */
const differences = Effect.fnUntraced(function*<A extends Account | Group>(
  before: ReadonlyMap<string, A>,
  next: ReadonlyMap<string, A>
) {
  const pauses = Pauses.make()
  const names = namesOf([...before.values()]).filter((name) => !next.has(name))
  for (const entry of next.values()) {
    if (!Equal.equals(entry, before.get(entry.name))) names.push(entry.name)
    yield* pauses
  }
  return names
})

const put = <A>(entries: Map<string, A>, name: string, entry: A | undefined) => {
  if (entry === undefined) entries.delete(name)
  else entries.set(name, entry)
}

const mostListed = 10

const listed = (names: ReadonlySet<string>): string => {
  const first = [...names].slice(0, mostListed).join(", ")
  return names.size > mostListed ? `${first} and ${names.size - mostListed} more` : first
}
