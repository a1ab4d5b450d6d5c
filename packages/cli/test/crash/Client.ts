/**
 * A connection that speaks CPT: lines over `node:net`, and nothing of our client library, so that it is a witness that
 * knows nothing of how server and client are made.
 */
import { connect, type Socket } from "node:net"
import { Violation } from "./Ledger.ts"
import { sleep, within, type World } from "./World.ts"

/** How long an answer may take from a server that is there. */
const patience = 30_000

/** Words after which the session is over, and nothing more is answered (CPT 3.8). */
const endings = new Set(["shutting_down", "idle_timeout", "login_timeout", "server_full", "too_many_connections"])

export interface Told {
  readonly target: string
  readonly sender: string
  readonly timestamp: number
  readonly text: string
}

export class Client {
  readonly name: string
  /** When nothing will come any more. */
  readonly closed: Promise<void>
  readonly #world: World
  readonly #socket: Socket
  readonly #onMessage: (message: Told) => void
  #asked: Array<(answer: string | undefined) => void> = []
  #rest: Buffer = Buffer.alloc(0)
  #isOpen = true

  constructor(world: World, name: string, port: number, onMessage: (message: Told) => void) {
    this.name = name
    this.#world = world
    this.#onMessage = onMessage
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true })
    this.#socket.on("error", () => {}) // "close" follows
    this.#socket.on("data", (bytes) => {
      try {
        this.#read(bytes)
      } catch (error) {
        world.fail(error)
      }
    })
    this.closed = new Promise((resolve) => {
      this.#socket.once("close", () => {
        this.#over()
        resolve()
      })
    })
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * Says a command, and waits for what is no `MSG`; undefined if the connection is lost before.
   * @param onAnswer is called at once, before the next line is read
   */
  async ask(line: string, onAnswer: (answer: string | undefined) => void = () => {}): Promise<string | undefined> {
    const answer = this.#expect(line, onAnswer)
    if (this.#isOpen) this.#socket.write(`${line}\n`)
    return answer
  }

  /** Says several commands in one go; each answer comes as it comes. */
  async askAll(lines: ReadonlyArray<string>): Promise<ReadonlyArray<string | undefined>> {
    const answers = lines.map(async (line) => this.#expect(line, () => {}))
    if (this.#isOpen) this.#socket.write(lines.map((line) => `${line}\n`).join(""))
    return Promise.all(answers)
  }

  /** Begins a line, and does not end it. */
  async begin(text: string): Promise<void> {
    return new Promise((resolve) => this.#socket.write(text, () => resolve()))
  }

  /** Reads nothing for a while. */
  async pause(milliseconds: number): Promise<void> {
    this.#socket.pause()
    await sleep(milliseconds)
    this.#socket.resume()
  }

  /** Ends the connection from this side, whatever is on its way. */
  async drop(how: "reset" | "close"): Promise<void> {
    this.#world.note(this.name, `drops the connection (${how})`)
    if (how === "reset") this.#socket.resetAndDestroy()
    else this.#socket.destroy()
    return this.closed
  }

  async #expect(line: string, onAnswer: (answer: string | undefined) => void): Promise<string | undefined> {
    this.#world.note(this.name, `> ${line}`)
    const answer = new Promise<string | undefined>((resolve) => {
      const settle = (answer: string | undefined) => {
        onAnswer(answer)
        resolve(answer)
      }
      if (this.#isOpen) this.#asked.push(settle)
      else settle(undefined)
    })
    return within(patience, `answer for ${this.name} to ${line.slice(0, 80)}`, answer)
  }

  #read(bytes: Buffer): void {
    let data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    for (let end = data.indexOf(10); end !== -1 && this.#isOpen; end = data.indexOf(10)) {
      this.#line(data.subarray(0, end).toString())
      data = data.subarray(end + 1)
    }
    this.#rest = data
  }

  #line(line: string): void {
    const message = /^MSG (\S+) (\S+) (0|[1-9]\d{0,14}) ([^]+)$/.exec(line)
    if (message !== null) {
      const [, target = "", sender = "", timestamp = "", text = ""] = message
      return this.#onMessage({ target, sender, timestamp: Number(timestamp), text })
    }
    this.#world.note(this.name, `< ${line}`)
    if (!/^(ACK|ACCEPT|ENDSYNC|DECLINE [a-z_]+)$/.test(line)) throw new Violation(`${this.name} was told ${line}`)
    if (line.startsWith("DECLINE ")) {
      const word = line.slice("DECLINE ".length)
      const { declined } = this.#world.counts
      declined.set(word, (declined.get(word) ?? 0) + 1)
      if (endings.has(word)) return this.#over()
    }
    const settle = this.#asked.shift()
    if (settle === undefined) throw new Violation(`${this.name} was told ${line}, and had asked nothing`)
    settle(line)
  }

  #over(): void {
    this.#isOpen = false
    for (const settle of this.#asked.splice(0)) settle(undefined)
    this.#socket.destroy()
  }
}

/** Connects and logs in; undefined if the server is gone, or does not want it yet. */
export const login = async (
  world: World,
  name: string,
  port: number,
  onMessage: (message: Told) => void
): Promise<Client | undefined> => {
  const client = new Client(world, name, port, onMessage)
  const answer = await client.ask(`CONNECT ${name}`)
  if (answer === "ACCEPT") return client
  await client.drop("close")
  return undefined
}
