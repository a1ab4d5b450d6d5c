/**
 * The life of one data directory: a server is started on it, worked with, and killed, again and again, and in between
 * everything that it has is held against what was said and heard.
 */
import { mkdirSync, rmSync, watch, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Backup, checkFile } from "./Backup.ts"
import { Follower } from "./Follower.ts"
import { Ledger } from "./Ledger.ts"
import { makeOld } from "./Old.ts"
import { Power } from "./Power.ts"
import { Proxy } from "./Proxy.ts"
import type { Random } from "./Random.ts"
import { Retention } from "./Retention.ts"
import { Sender } from "./Sender.ts"
import { Server } from "./Server.ts"
import { Tail } from "./Tail.ts"
import type { Tally } from "./Tally.ts"
import { checkNames, type Names, readAll } from "./Witness.ts"
import { sleep, within, World } from "./World.ts"

export interface Options {
  readonly bin: string
  /** Where it all happens; made, and removed if all is well. */
  readonly folder: string
  readonly random: Random
  readonly rounds: number
  /** Whether the power goes, too. */
  readonly hasPowerLoss: boolean
  readonly tally: Tally
  readonly onRound: () => void
  /** Whether to come to an end before its time. */
  readonly isOver: () => boolean
}

const groups = ["g0", "g1", "g2"] as const
const senders = ["s0", "s1", "s2", "s3"] as const
const followers = ["f0", "f1", "f2"] as const
const names: Names = { groups, users: [...senders, ...followers] }
const everything = [...groups, ...senders, ...followers]

/** How long a follower may need to be told of what is there. */
const followDeadline = 30_000

export class Life {
  /** Where it was when it failed. */
  round = 0
  readonly world: World
  readonly #options: Options
  readonly #random: Random
  readonly #data: string
  readonly #power: Power | undefined
  readonly #retention: Retention | undefined
  readonly #senders: ReadonlyArray<Sender>
  readonly #followers: ReadonlyArray<Follower>
  readonly #proxy: Proxy
  #server: Server | undefined
  #tail: Tail | undefined
  #backup: { readonly backup: Backup; readonly isWhole: boolean } | undefined
  #startTime = 1000
  /** Whether the database is there, and of this version. */
  #hasListened = false

  constructor(options: Options) {
    const { folder, hasPowerLoss, random } = options
    this.#options = options
    this.#random = random.fork()
    this.#data = join(folder, "data")
    this.#power = hasPowerLoss ? new Power(this.#data) : undefined
    this.#retention = random.chance(0.4) ? new Retention(random.fork()) : undefined
    const world = this.world = new World(new Ledger(this.#retention !== undefined))
    const targets = [...groups, ...groups, ...groups, ...senders, "f0"] as const
    this.#senders = senders.map((name, index) =>
      new Sender(world, name, random.fork(), { targets, follows: index === 0 ? ["g0"] : [] })
    )
    this.#followers = [
      new Follower(world, "f0", random.fork(), { groups: ["g0", "g1", "g2"], temper: "steady" }),
      new Follower(world, "f1", random.fork(), { groups: ["g0", "g1"], temper: "slow" }),
      new Follower(world, "f2", random.fork(), { groups: ["g2", "g0"], temper: "restless" })
    ]
    this.#proxy = new Proxy(world.gate)
  }

  async run(): Promise<void> {
    const { folder, tally } = this.#options
    mkdirSync(folder)
    if (this.#random.chance(0.3)) makeOld(this.#data, this.world.ledger, this.#random, names)
    tally.directories++
    const clients = [...this.#senders, ...this.#followers].map(async (client) => client.run())
    for (const client of clients) client.catch((error) => this.world.fail(error))
    try {
      await Promise.race([this.#live(), this.world.failed])
      this.world.gate.end()
      await Promise.race([Promise.all(clients), this.world.failed])
    } catch (error) {
      this.world.fail(error)
      writeFileSync(join(folder, "events.log"), this.world.events.map((event) => `${event}\n`).join(""))
      writeFileSync(join(folder, "server.log"), this.#server?.process.stderr ?? "")
      await this.world.failed
    } finally {
      this.world.gate.end()
      this.#proxy.close()
      await this.#tail?.stop()
      await this.#server?.process.end("SIGKILL")
      await this.#backup?.backup.process.end("SIGKILL")
    }
    rmSync(folder, { recursive: true })
  }

  async #live(): Promise<void> {
    const { isOver, rounds } = this.#options
    for (this.round = 1; this.round < rounds && !isOver(); this.round++) {
      await this.#oneRound()
      this.#count()
    }
    // The last one is worked with until everything has reached everybody
    const server = await this.#started([])
    await this.#work()
    await this.#settle()
    await this.#tail?.catchUp()
    this.#tail?.check()
    this.world.gate.close()
    await server.stop()
    this.#options.tally.stops++
    this.#count()
  }

  async #oneRound(): Promise<void> {
    const { tally } = this.#options
    const flags = this.#flags()
    // A new directory, or one of an older version, is made what it has to be by its first start
    if (this.#random.chance(this.round <= 2 ? 0.5 : 0.15)) return this.#killWhileStarting(flags)
    const server = await this.#started(flags)
    const backup = this.#power === undefined && this.#random.chance(0.12)
    const working = this.#work()
    if (backup) await this.#backUp()
    await working
    if (this.#random.chance(0.2)) await this.#settle()
    if (this.#random.chance(0.1)) await this.#restartTail()
    this.world.gate.close()
    if (this.#random.chance(0.1)) {
      this.world.note("server", "SIGTERM")
      await server.stop()
      tally.stops++
    } else {
      this.world.note("server", "SIGKILL")
      await server.kill()
      if (this.#backup !== undefined && !this.#backup.isWhole) tally.kills.backup++
      else if (flags.some((flag) => flag.startsWith("--keep"))) tally.kills.retention++
      else tally.kills.working++
    }
    await this.#down()
  }

  /** During recovery and migration: most of the time it takes to start goes by before the database is touched. */
  async #killWhileStarting(flags: ReadonlyArray<string>): Promise<void> {
    const server = this.#start(flags)
    if (this.#random.chance(0.5)) {
      await untilTouched(this.#options.folder, 2 * this.#startTime)
      await sleep(this.#random.between(0, 25))
    } else await sleep(this.#startTime * (0.3 + 0.9 * this.#random.next()))
    this.world.note("server", "SIGKILL while it starts")
    await server.kill()
    this.#options.tally.kills.starting++
    await this.#down()
  }

  /** The server is up, and has been found to have everything; clients know of it. */
  async #started(flags: ReadonlyArray<string>): Promise<Server> {
    const begin = performance.now()
    const server = this.#start(flags)
    const port = await server.port()
    this.#startTime = 0.7 * this.#startTime + 0.3 * (performance.now() - begin)
    this.world.note("server", `listens on ${port}`)
    this.#hasListened = true
    await this.#checkAll(port)
    this.world.gate.open(port)
    return server
  }

  #start(flags: ReadonlyArray<string>): Server {
    this.world.note("server", `starts with ${flags.join(" ")}`)
    const env = this.#power?.environment()
    return this.#server = new Server({ bin: this.#options.bin, data: this.#data, flags, env })
  }

  /** After the end of a server: what clients had got is read by them, and then the power may have gone. */
  async #down(): Promise<void> {
    const clients = [...senders, ...followers]
    const waiting = async () => {
      while (!this.world.gate.hasAll(clients) && !this.world.isBroken) await sleep(1)
    }
    await within(followDeadline, "end of all connections", waiting())
    if (this.#backup !== undefined && this.#backup.backup.process.ending === undefined) {
      await within(followDeadline, "end of cpt backup", this.#backup.backup.process.ended)
    }
    if (this.#power !== undefined && this.#random.chance(0.6)) {
      this.world.note("server", "loss of power")
      this.#power.lose(this.#random)
      this.#options.tally.powerLosses++
    }
    if (this.#hasListened && this.#random.chance(0.03)) {
      await checkFile(this.#options.bin, ["--data", this.#data])
    }
  }

  /** Everything that the server has against everything that is known, while nobody else speaks with it. */
  async #checkAll(port: number): Promise<void> {
    const { ledger } = this.world
    const { tally } = this.#options
    const histories = await readAll(this.world, port, names)
    for (const [target, history] of histories) ledger.history(target, history)
    this.#retention?.check(histories, (target) => ledger.seen(target))
    // Where all may be forgotten, so may be what a name was (CPT 2.2)
    if (this.#retention === undefined && this.#random.chance(0.25)) await checkNames(this.world, ledger, port, names)
    for (const { reader } of [...this.#senders, ...this.#followers]) reader.check(everything)
    this.#tail?.check()
    tally.checks++
    const { backup, isWhole = false } = this.#backup ?? {}
    this.#backup = undefined
    if (await backup?.check(names, isWhole) === true) tally.backups++
  }

  async #work(): Promise<void> {
    if (this.#tail === undefined && this.#random.chance(0.3)) await this.#startTail()
    const dice = this.#random.between(1, 100)
    if (dice <= 4) {
      // Until the log is full, and begins anew
      this.world.storm = this.#random.between(1, 10) * 1_000_000
      await sleep(this.#random.between(300, 2000))
      this.world.storm = 0
    } else if (dice <= 9) {
      // Until there is time for what is done when there is nothing else to do
      await sleep(this.#random.between(0, 100))
      this.world.isQuiet = true
      await sleep(this.#random.between(900, 1300))
      this.world.isQuiet = false
    } else await sleep(this.#random.between(0, this.#random.pick([20, 100, 300])))
  }

  /** Nothing new is said, and what is there reaches those who follow. */
  async #settle(): Promise<void> {
    const { ledger } = this.world
    this.world.isQuiet = true
    const port = await within(followDeadline, "server", this.world.gate.pass("the witness"))
    const silence = async () => {
      while (!this.#senders.every(({ isIdle }) => isIdle) && !this.world.isBroken) await sleep(1)
    }
    await within(followDeadline, "silence of the senders", silence())
    for (const [group, history] of await readAll(this.world, port ?? 0, { groups, users: [] })) {
      ledger.history(group, history)
    }
    const behind = () =>
      this.#followers.filter(({ groups, isFollowing, reader }) =>
        !isFollowing || groups.some((group) => reader.reached(group) < ledger.head(group))
      )
    const following = async () => {
      while (behind().length > 0 && !this.world.isBroken) await sleep(1)
    }
    await within(followDeadline, "follower that is at the head", following())
    for (const { reader } of [...this.#senders, ...this.#followers]) reader.check(groups)
    this.world.isQuiet = false
  }

  async #startTail(): Promise<void> {
    const { bin, folder } = this.#options
    const port = await this.#proxy.listen()
    const followed = this.#random.pick([["g0"], ["g1", "g2"]])
    this.#tail = new Tail(this.world, { bin, folder, groups: followed, port, mayForget: this.#retention !== undefined })
  }

  async #restartTail(): Promise<void> {
    if (this.#tail === undefined) return
    const signal = this.#random.pick(["SIGKILL", "SIGKILL", "SIGTERM"])
    await this.#tail.restart(signal)
    if (signal === "SIGKILL") this.#options.tally.tailKills++
  }

  /** A backup of the running server; sometimes it is killed itself, sometimes the server while it is under way. */
  async #backUp(): Promise<void> {
    const { bin, folder } = this.#options
    const backup = new Backup(this.world, { bin, data: this.#data, folder })
    const fate = this.#random.pick(["whole", "whole", "killed", "server killed"])
    this.#backup = { backup, isWhole: fate === "whole" }
    this.world.note("backup", fate)
    if (fate === "whole") await within(60_000, "end of cpt backup", backup.process.ended)
    else await sleep(this.#startTime * (0.4 + 0.8 * this.#random.next()))
    if (fate === "killed") await backup.process.end("SIGKILL")
  }

  #flags(): ReadonlyArray<string> {
    const flags: Array<string> = []
    const random = this.#random
    if (random.chance(0.5)) flags.push("--cache", random.pick(["64KiB", "1MiB"]))
    flags.push(...this.#retention?.flags() ?? [])
    return flags
  }

  #count(): void {
    const { onRound, tally } = this.#options
    const { acked, declined, received, resent } = this.world.counts
    tally.rounds++
    tally.acked += acked
    tally.resent += resent
    tally.received += received
    for (const [word, count] of declined) tally.declined.set(word, (tally.declined.get(word) ?? 0) + count)
    Object.assign(this.world.counts, { acked: 0, declined: new Map(), received: 0, resent: 0 })
    onRound()
  }
}

/** Waits until something happens in the data directory. */
const untilTouched = async (folder: string, atMost: number): Promise<void> => {
  let touched = () => {}
  const event = new Promise<void>((resolve) => {
    touched = resolve
  })
  const watcher = watch(folder, { recursive: true }, (_, name) => {
    if (name?.startsWith("data/") === true) touched()
  })
  await Promise.race([event, sleep(atMost)])
  watcher.close()
}
