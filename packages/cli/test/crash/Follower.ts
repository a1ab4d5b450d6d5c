/** A client that only reads: it follows groups, in one of several tempers, and comes back where it was. */
import { type Client, login } from "./Client.ts"
import type { Random } from "./Random.ts"
import { Reader } from "./Reader.ts"
import { sleep, type World } from "./World.ts"

/** `slow` reads in fits and starts, `restless` asks again and again, and breaks off. */
export type Temper = "steady" | "slow" | "restless"

export class Follower {
  readonly name: string
  readonly groups: readonly [string, ...ReadonlyArray<string>]
  readonly reader: Reader
  readonly #world: World
  readonly #random: Random
  readonly #temper: Temper
  #isFollowing = false

  constructor(
    world: World,
    name: string,
    random: Random,
    options: { readonly groups: readonly [string, ...ReadonlyArray<string>]; readonly temper: Temper }
  ) {
    this.#world = world
    this.name = name
    this.groups = options.groups
    this.#random = random
    this.#temper = options.temper
    this.reader = new Reader(world, name, [name, ...options.groups])
  }

  /** Whether everything new is on its way to it. */
  get isFollowing(): boolean {
    return this.#isFollowing
  }

  async run(): Promise<void> {
    for (;;) {
      const port = await this.#world.gate.pass(this.name)
      if (port === undefined) return
      const client = await login(this.#world, this.name, port, (message) => this.reader.told(message))
      if (client !== undefined) {
        await this.#session(client)
        this.#isFollowing = false
        await client.drop("close")
      }
      this.reader.lost()
      await sleep(5)
    }
  }

  async #session(client: Client): Promise<void> {
    for (const target of [this.name, ...this.groups]) {
      if (!(await this.reader.sync(client, target))) return
    }
    this.#isFollowing = true
    while (client.isOpen) {
      await Promise.race([sleep(this.#random.between(5, 100)), client.closed])
      if (!client.isOpen || this.#world.isQuiet || this.#temper === "steady") continue
      if (this.#temper === "slow") await client.pause(this.#random.between(1, 150))
      else if (this.#random.chance(0.1)) return client.drop(this.#random.pick(["reset", "close"]))
      else {
        const from = this.#random.pick(["place", "place", "before", "start"])
        if (!(await this.reader.sync(client, this.#random.pick(this.groups), from))) return
      }
    }
  }
}
