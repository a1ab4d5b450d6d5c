/**
 * What the soak test does to a server, all at once and for as long as it runs: senders that pipeline, followers that must
 * hear everything once and in order, sleepers, clients that come and go in every way, and one user who does as the
 * protocol says, whose waiting is measured.
 */
import { once } from "node:events"
import { Peer } from "./Peer.ts"

const groups = 20
const window = 64
const followersEach = 2
const sleepers = 10

/** One after the other, from 0. Somebody who was away longer than messages are kept is told so, and begins anew. */
class Sequence {
  readonly #who: string
  #next: number | undefined
  #isMissing = false

  constructor(who: string) {
    this.#who = who
  }

  hear(line: string): void {
    const [word, , sender, , text = ""] = line.split(" ")
    if (word === "DECLINE") throw new Error(`${this.#who} was declined: ${line}`)
    if (word !== "MSG") return
    if (sender === "system") {
      this.#isMissing = true
      return
    }
    const serial = Number(text)
    if (this.#next !== undefined && serial !== this.#next && !(this.#isMissing && serial > this.#next)) {
      throw new Error(`${this.#who} heard ${serial} where ${this.#next} was due`)
    }
    this.#isMissing = false
    this.#next = serial + 1
  }
}

export class Traffic {
  readonly #port: number
  #isOver = false
  #serial = 0
  acked = 0
  logins = 0
  waits: Array<number> = []
  /** Ends with what went wrong, or when it is told to stop. */
  readonly over: Promise<void>
  #fail: (error: unknown) => void = () => {}
  #stop: () => void = () => {}

  constructor(port: number) {
    this.#port = port
    this.over = new Promise((resolve, reject) => {
      this.#stop = resolve
      this.#fail = reject
    })
  }

  async start(): Promise<void> {
    for (let group = 0; group < groups; group++) await this.#sender(group)
    for (let index = 0; index < groups * followersEach; index++) await this.#follower(index)
    for (let index = 0; index < sleepers; index++) this.#run(this.#sleeper(index))
    this.#run(this.#comeAndGo())
    this.#run(this.#user())
  }

  stop(): void {
    this.#isOver = true
    this.#stop()
  }

  #run(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!this.#isOver) this.#fail(error)
    })
  }

  /** Whoever throws in here ends the test. */
  #heard(hear: (line: string) => void) {
    return (line: string) => {
      try {
        hear(line)
      } catch (error) {
        this.#fail(error)
      }
    }
  }

  async #sender(group: number): Promise<void> {
    let [next, answered] = [0, 0]
    const peer: Peer = await Peer.login(
      this.#port,
      `sender${group}`,
      this.#heard((line) => {
        if (line !== "ACK") throw new Error(`sender${group} got ${line}`)
        this.acked++
        if (++answered % window === 0 && !this.#isOver) burst()
      })
    )
    peer.socket.on("close", () => this.#isOver || this.#fail(new Error(`sender${group} was cut off`)))
    const burst = () => {
      let lines = ""
      for (let i = 0; i < window; i++) lines += `SEND group${group} ${next++}\n`
      peer.say(lines)
    }
    burst()
  }

  async #follower(index: number): Promise<void> {
    const sequence = new Sequence(`follower${index}`)
    const peer = await Peer.login(this.#port, `follower${index}`, this.#heard((line) => sequence.hear(line)))
    peer.socket.on("close", () => this.#isOver || this.#fail(new Error(`follower${index} was cut off`)))
    peer.say(`SYNC group${index % groups} ${Date.now()}\n`)
  }

  /** Reads for a moment, and then not at all for longer than messages are kept. */
  async #sleeper(index: number): Promise<void> {
    const sequence = new Sequence(`sleeper${index}`)
    const peer = await Peer.login(this.#port, `sleeper${index}`, this.#heard((line) => sequence.hear(line)))
    peer.say(`SYNC group${index % groups} ${Date.now()}\n`)
    while (!this.#isOver && !peer.socket.destroyed) {
      peer.socket.pause()
      await pause(10_000 + index * 500)
      peer.socket.resume()
      await pause(500)
    }
  }

  /** Logs in, says a little, reads a little, and goes: in good order, by a reset, or in the middle of a line or an answer. */
  async #comeAndGo(): Promise<void> {
    while (!this.#isOver) {
      const serial = this.#serial++
      const peer = await Peer.login(this.#port, `guest${serial}`, () => {})
      this.logins++
      const closed = once(peer.socket, "close")
      const group = `group${serial % groups}`
      switch (serial % 5) {
        case 0:
          peer.socket.end(`SEND guests hello\nSYNC guests ${Date.now() - 1000}\n`)
          break
        case 1:
          peer.say(`SYNC ${group} 0\n`)
          await once(peer.socket, "data")
          peer.kill()
          break
        case 2:
          peer.say("SEND guests half a li")
          peer.socket.destroy()
          break
        case 3:
          peer.say(`SEND guest${serial} to myself\nBOGUS\nSYNC\n`)
          peer.socket.end()
          break
        default:
          peer.kill()
      }
      await closed
      await pause(5)
    }
  }

  /** One who waits for each answer. */
  async #user(): Promise<void> {
    let answered = () => {}
    const peer = await Peer.login(this.#port, "user", () => answered())
    while (!this.#isOver) {
      const begin = performance.now()
      await new Promise<void>((resolve) => {
        answered = resolve
        peer.say("SEND users hello\n")
      })
      this.waits.push(performance.now() - begin)
      await pause(20)
    }
  }
}

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))
