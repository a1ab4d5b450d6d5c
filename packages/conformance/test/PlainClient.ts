/**
 * A client as the specification and its reading have it, for tests of the kit and for nothing else: `send TARGET MESSAGE`,
 * `send TARGET` for the lines of stdin, `sync GROUP`, `tail GROUP`. It is plain on purpose: one method for each thing that
 * a client decides, so that a wrong client is one of them changed (`ClientMutants`).
 */
import { Buffer } from "node:buffer"
import { readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"

export const later = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** The connection has ended. */
export class Lost extends Error {}

/** The server has declined. */
export class Declined extends Error {}

export interface Message {
  readonly sender: string
  readonly time: number
  readonly text: string
}

export class PlainClient {
  readonly #host = process.env["CPT_HOST"] ?? "127.0.0.1"
  readonly #port = Number(process.env["CPT_PORT"])
  readonly user = process.env["CPT_USERNAME"] ?? "plain"
  socket: Socket | undefined
  /** Lines that nobody has taken yet. */
  lines: Array<string> = []
  rest = Buffer.alloc(0)
  isLost = false
  /** The timestamp of the last message of what is read. */
  last = 0
  group = ""
  #wake = () => {}

  async main([verb = "", target = "", message]: ReadonlyArray<string>): Promise<number> {
    this.group = target
    try {
      if (verb === "send") {
        const texts = message === undefined
          ? readFileSync(0, "utf8").split("\n").filter((line) => line !== "")
          : [message]
        await this.sends(target, texts)
      } else if (verb === "sync") await this.syncs()
      else if (verb === "tail") await this.tails()
      else return 2
      return 0
    } catch (error) {
      this.complains(error)
      return this.status(error)
    } finally {
      this.socket?.end()
    }
  }

  complains(error: unknown): void {
    console.error(error instanceof Error ? error.message : error)
  }

  status(error: unknown): number {
    return error instanceof Declined ? 3 : error instanceof Lost ? 5 : 1
  }

  // Lines

  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: this.#host, port: this.#port, noDelay: true })
      this.socket = socket
      this.lines = []
      this.rest = Buffer.alloc(0)
      this.isLost = false
      const lose = () => {
        if (this.socket !== socket) return
        this.ends()
        this.isLost = true
        this.#wake()
        reject(new Lost("no connection"))
      }
      socket.once("connect", resolve)
      socket.on("error", lose)
      socket.on("close", lose)
      socket.on("end", lose)
      socket.on("data", (chunk) => {
        if (this.socket !== socket) return
        this.takes(chunk)
        this.#wake()
      })
    })
  }

  takes(chunk: Buffer): void {
    let bytes = Buffer.concat([this.rest, chunk])
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10)) {
      this.lines.push(bytes.subarray(0, at).toString())
      bytes = bytes.subarray(at + 1)
    }
    this.rest = bytes
  }

  /** What has come of a line that is not ended, is none. */
  ends(): void {}

  async line(): Promise<string> {
    while (this.lines.length === 0) {
      if (this.isLost) throw new Lost("the connection is lost")
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.lines.shift() ?? ""
  }

  /** Whether there is a line within so many milliseconds. */
  async hasLine(millis: number): Promise<boolean> {
    const until = Date.now() + millis
    while (this.lines.length === 0 && !this.isLost && Date.now() < until) await later(10)
    return this.lines.length > 0
  }

  say(line: string): void {
    this.socket?.write(`${line}\n`)
  }

  // Answers

  isMessage(line: string): boolean {
    return line.startsWith("MSG ")
  }

  /** The next line that is an answer; messages before it are taken for what they are. */
  async answer(): Promise<string> {
    while (true) {
      const line = await this.line()
      if (!this.isMessage(line)) return line
      this.hears(line)
    }
  }

  isDeclined(answer: string): boolean {
    return answer.startsWith("DECLINE")
  }

  // Connections

  async login(): Promise<void> {
    await this.open()
    this.say(this.greeting())
    await this.accepted()
  }

  greeting(): string {
    return `CONNECT ${this.user}`
  }

  async accepted(): Promise<void> {
    const answer = await this.answer()
    if (!this.isDeclined(answer)) return
    this.socket?.end()
    throw new Declined(answer)
  }

  /** How long a lost connection is tried to be restored. */
  patience = 1500

  /** Does something that needs a connection; again, if that is lost. */
  async persistently<A>(what: () => Promise<A>): Promise<A> {
    let until = Date.now() + this.patience
    for (let pause = 30;; pause *= 2) {
      try {
        if (this.socket === undefined || this.isLost) {
          await this.login()
          pause = 30
          until = Date.now() + this.patience
        }
        return await what()
      } catch (error) {
        if (!(error instanceof Lost) || Date.now() > until) throw error
        this.loses()
        await this.waits(pause)
      }
    }
  }

  loses(): void {}

  waits(pause: number): Promise<void> {
    return later(Math.min(pause, 1000))
  }

  // Sending

  async sends(target: string, texts: ReadonlyArray<string>): Promise<void> {
    for (const text of texts) await this.persistently(() => this.send(target, text))
  }

  sendLine(target: string, text: string): string {
    return `SEND ${target} ${text}`
  }

  async send(target: string, text: string): Promise<void> {
    this.say(this.sendLine(target, text))
    await this.acknowledged(target, text)
  }

  async acknowledged(_target: string, _text: string): Promise<void> {
    const answer = await this.answer()
    if (this.isDeclined(answer)) {
      this.socket?.end()
      throw new Declined(answer)
    }
    if (!this.isAck(answer)) throw new Error(`what is ${answer}?`)
  }

  isAck(answer: string): boolean {
    return answer === "ACK"
  }

  // Reading

  after(): number {
    return this.last
  }

  async syncs(): Promise<void> {
    await this.persistently(() => this.sync())
  }

  async sync(): Promise<void> {
    this.say(`SYNC ${this.group} ${this.after()}`)
    await this.completed()
  }

  async completed(): Promise<void> {
    const answer = await this.answer()
    if (this.isDeclined(answer)) throw new Declined(answer)
    if (answer !== "ENDSYNC") throw new Error(`what is ${answer}?`)
  }

  async tails(): Promise<never> {
    this.patience = Infinity
    return this.persistently(async () => {
      await this.sync()
      return this.follows()
    })
  }

  async follows(): Promise<never> {
    while (true) {
      const line = await this.line()
      if (this.isMessage(line)) this.hears(line)
    }
  }

  /** A MSG, in one form or the other; what is for another group is nobody's. */
  read(line: string): Message | undefined {
    const [, group, sender = "", time, text = ""] = /^MSG (\S+) (\S+) (\d+) (.*)$/s.exec(line) ?? []
    if (time !== undefined) {
      return group === this.group && sender !== "system" ? { sender, time: Number(time), text } : undefined
    }
    const [, from = "", at = "", said = ""] = /^MSG (\S+) (\d+) (.*)$/s.exec(line) ?? []
    return this.group === this.user ? { sender: from, time: Number(at), text: said } : undefined
  }

  hears(line: string): void {
    const message = this.read(line)
    if (message === undefined) return
    this.last = message.time
    this.prints(message)
  }

  prints({ sender, text }: Message): void {
    process.stdout.write(`${sender}: ${text}\n`)
  }
}
