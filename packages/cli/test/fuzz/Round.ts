/** One round: a script is played, all take their leave, a notary reads what there is now, and all of it is judged. */
import { Timestamp } from "@cpt/schema"
import { Buffer } from "node:buffer"
import { setImmediate } from "node:timers/promises"
import type { Message } from "../../../server/test/model/Model.ts"
import { Violation } from "../crash/Ledger.ts"
import { sleep } from "../crash/World.ts"
import { isPrivate } from "./Conduct.ts"
import { judge } from "./Judge.ts"
import { haveHeard } from "./Owed.ts"
import { Peer } from "./Peer.ts"
import type { Act, Script, Stage } from "./Script.ts"
import type { Look, Server } from "./Server.ts"

/** Milliseconds in which a message is with those who follow, and in which a new user is served, on a busy machine. */
const patience = 5000

export class Round {
  readonly #server: Server
  readonly #script: Script
  readonly #slots = new Map<number, Peer>()
  /** All connections that there have been. */
  readonly peers: Array<Peer> = []

  constructor(server: Server, script: Script) {
    this.#server = server
    this.#script = script
  }

  /** Gives what the server takes of the machine afterwards. */
  async run(): Promise<Look> {
    try {
      for (const stage of this.#script.stages) await this.#play(stage)
      await this.#settle()
      const truth = await this.#read()
      const look = await this.#server.mustBeIdle()
      judge(this.peers, truth, this.#script.raced)
      return look
    } finally {
      for (const peer of this.peers) peer.destroy()
    }
  }

  async #play({ inTurns, parts }: Stage): Promise<void> {
    const play = async (slot: number, acts: ReadonlyArray<Act>) => {
      for (const act of acts) {
        await this.#act(slot, act)
        if (inTurns) await this.#slots.get(slot)?.answered()
      }
    }
    if (inTurns) { for (const { acts, slot } of parts) await play(slot, acts) }
    else await all(parts.map(({ acts, slot }) => play(slot, acts)))
    await all(Array.from(this.#slots.values(), (peer) => {
      peer.readOn()
      return peer.answered()
    }))
  }

  async #act(slot: number, act: Act): Promise<void> {
    const peer = this.#slots.get(slot)
    if (act.does === "connect") {
      if (peer?.isOpen !== true) this.#slots.set(slot, await this.#open(`slot ${slot}`))
      return
    }
    if (act.does === "sleep") return sleep(act.millis)
    if (peer?.isOpen !== true) return
    switch (act.does) {
      case "say":
        return peer.say(act.bytes, act.cuts)
      case "wait":
        return peer.answered()
      case "stop reading":
        return peer.stopReading()
      case "read on":
        return peer.readOn()
      case "half-close":
        return peer.halfClose()
      case "reset":
        return peer.reset()
    }
  }

  async #open(who: string): Promise<Peer> {
    const peer = new Peer(`${who}, connection ${this.peers.length}`, this.#server.port)
    this.peers.push(peer)
    await peer.opened()
    return peer
  }

  /** Until everybody has heard everything; then all of them go. */
  async #settle(): Promise<void> {
    const open = () => [...this.#slots.values()].filter(({ isOpen }) => isOpen)
    await this.#server.mustHave(() => open().length)
    const there = open()
    const until = performance.now() + patience
    const isDone = haveHeard(this.peers, there)
    while (!isDone() && performance.now() < until) await sleep(5) // else the judge says what is missing
    for (let turn = 0; turn < 10; turn++) await setImmediate()
    for (const peer of there) peer.isSettled = true
    await all(there.map(async (peer, index) => index % 3 === 0 ? peer.reset() : peer.halfClose()))
  }

  /** When all have gone, somebody new is served at once, and reads what every name holds that anything was sent to. */
  async #read(): Promise<Map<string, ReadonlyArray<Message>>> {
    const targets = new Set(
      this.peers.flatMap(({ asks }) => asks.flatMap(({ meaning }) => meaning._tag === "SEND" ? [meaning.target] : []))
    )
    const begin = performance.now()
    const notary = await this.#open("notary")
    const name = `notary.${targets.values().next().value?.slice(-6) ?? ""}`
    await notary.say(Buffer.from(`CONNECT ${name}\nSEND ${name} hello\nSYNC\n`))
    await notary.answered()
    const took = performance.now() - begin
    if (took > patience) throw new Violation(`somebody who came after all had gone was served in ${took} ms`)
    const truth = new Map<string, ReadonlyArray<Message>>([[name, messagesIn(notary.heard)]])
    for (const target of targets) {
      const from = notary.heard.length
      await notary.say(Buffer.from(`SYNC ${target} 0\n`))
      await notary.answered()
      const answer = notary.heard.slice(from)
      truth.set(
        target,
        isPrivate(answer.map(({ line }) => line)) ? await this.#readInbox(target) : messagesIn(answer)
      )
    }
    await notary.halfClose()
    return truth
  }

  async #readInbox(user: string): Promise<ReadonlyArray<Message>> {
    const peer = await this.#open(user)
    await peer.say(Buffer.from(`CONNECT ${user}\nSYNC\n`))
    await peer.answered()
    await peer.halfClose()
    return messagesIn(peer.heard)
  }
}

/** Fails when all have ended, with what went wrong first. */
const all = async (work: ReadonlyArray<Promise<void>>): Promise<void> => {
  await Promise.allSettled(work)
  await Promise.all(work)
}

const messagesIn = (heard: Peer["heard"]): ReadonlyArray<Message> =>
  heard.flatMap(({ line }) => {
    const [, target = "", sender = "", timestamp = "", text = ""] = /^MSG (\S+) (\S+) (\d+) ([^]*)$/.exec(line) ?? []
    return text === "" || Number(timestamp) === Timestamp.epoch
      ? []
      : [{ target, sender, timestamp: Number(timestamp), text }]
  })
