/**
 * A client that sends, one message in flight, and reads its inbox. After a lost connection it repeats the one message
 * whose ACK it did not see (CPT 6.3), or gives it up.
 */
import { type Client, login } from "./Client.ts"
import type { Sent } from "./Ledger.ts"
import type { Random } from "./Random.ts"
import { Reader } from "./Reader.ts"
import { sleep, type World } from "./World.ts"

/** The window of re-sends is two minutes (CPT 4.4): what waited for longer is not repeated. */
const resendWindow = 90_000

const filler = "Lorem ipsum\tdolor sit amet, ünïcödé ✓ 漢字 😀  consectetur adipisci'ng \"elit\" %s ' -- ; ".repeat(100)

const large = "storm ".repeat(500)

interface Pending {
  readonly sent: Sent
  readonly since: number
  /** An equal message before it was ACKed: nobody can tell whether its repeat is one, and so an ACK proves nothing. */
  readonly isRepeat: boolean
}

export class Sender {
  readonly name: string
  readonly reader: Reader
  readonly #world: World
  readonly #random: Random
  readonly #targets: readonly [string, ...ReadonlyArray<string>]
  readonly #follows: ReadonlyArray<string>
  #number = 0
  #pending: Pending | undefined
  /** The last message, if its ACK came on this connection: only then a repeat is safe (CPT 4.4). */
  #last: Sent | undefined
  #isIdle = true

  constructor(
    world: World,
    name: string,
    random: Random,
    options: { readonly targets: readonly [string, ...ReadonlyArray<string>]; readonly follows: ReadonlyArray<string> }
  ) {
    this.#world = world
    this.name = name
    this.#random = random
    this.#targets = options.targets
    this.#follows = [name, ...options.follows]
    this.reader = new Reader(world, name, this.#follows)
  }

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.#isIdle
  }

  async run(): Promise<void> {
    for (;;) {
      this.#isIdle = true
      const port = await this.#world.gate.pass(this.name)
      if (port === undefined) return
      this.#isIdle = false
      const client = await login(this.#world, this.name, port, (message) => this.reader.told(message))
      if (client !== undefined) {
        await this.#session(client)
        await client.drop("close")
      }
      this.reader.lost()
      await sleep(5)
    }
  }

  async #session(client: Client): Promise<void> {
    this.#last = undefined
    for (const target of this.#follows) {
      const isBare = target === this.name && this.#random.chance(0.2)
      if (!(await this.reader.sync(client, target, isBare ? "bare" : "place"))) return
    }
    if (this.#pending !== undefined && !(await this.#resend(client, this.#pending))) return
    while (client.isOpen) {
      while (this.#world.isQuiet && client.isOpen) {
        this.#isIdle = true
        await sleep(2)
      }
      this.#isIdle = false
      await this.#act(client)
    }
  }

  async #act(client: Client): Promise<void> {
    if (this.#world.storm > 0) return this.#storm(client)
    const dice = this.#random.between(1, 1000)
    if (dice <= 60) {
      return this.#pipeline(
        client,
        Array.from({ length: this.#random.between(2, 12) }, () => this.#text())
      )
    }
    if (dice <= 80) return sleep(this.#random.between(1, 50))
    if (dice <= 90) {
      return void await this.reader.sync(client, this.#random.pick([this.name, ...this.#follows]), "before")
    }
    if (dice <= 94) return client.drop(this.#random.pick(["reset", "close"]))
    if (dice <= 98) return this.#breakOff(client)
    if (dice <= 180 && this.#last !== undefined) return this.#repeat(client, this.#last)
    await this.#send(client, { sent: this.#next(this.#text()), since: Date.now(), isRepeat: false })
  }

  /** Says it, and waits for the ACK. */
  async #send(client: Client, pending: Pending): Promise<void> {
    this.#pending = pending
    const { sent } = pending
    const asked = client.ask(`SEND ${sent.target} ${sent.text}`)
    if (this.#random.chance(0.004)) {
      await sleep(this.#random.between(0, 5))
      await client.drop(this.#random.pick(["reset", "close"]))
    }
    this.#answered(sent, await asked)
  }

  #answered(sent: Sent, answer: string | undefined): void {
    if (answer === "ACK") {
      this.#world.ledger.acked(sent)
      this.#world.counts.acked++
      this.#last = sent
      this.#pending = undefined
    } else if (answer !== undefined) {
      this.#world.ledger.refused(sent) // CPT 4.8
      this.#pending = undefined
    }
  }

  /** An equal message, which is a second one (CPT 4.4). */
  async #repeat(client: Client, { target, text }: Sent): Promise<void> {
    const sent = this.#world.ledger.sending(this.name, target, text)
    await this.#send(client, { sent, since: Date.now(), isRepeat: true })
  }

  /** As much at once as fills the log and the places of the newest messages. */
  async #storm(client: Client): Promise<void> {
    const texts = Array.from({ length: 40 }, () => `${this.name}.${++this.#number} ${large}`)
    this.#world.storm -= texts.join("").length
    return this.#pipeline(client, texts)
  }

  /** Several in one go: of those only the last may be repeated later (CPT 4.5). */
  async #pipeline(client: Client, texts: ReadonlyArray<string>): Promise<void> {
    this.#last = undefined
    const all = texts.map((text) => this.#next(text))
    const last = all.at(-1)
    if (last !== undefined) this.#pending = { sent: last, since: Date.now(), isRepeat: false }
    const answers = await client.askAll(all.map(({ target, text }) => `SEND ${target} ${text}`))
    all.forEach((sent, index) => this.#answered(sent, answers[index]))
    if (last !== undefined && answers.at(-1) === undefined) {
      this.#pending = { sent: last, since: Date.now(), isRepeat: false }
    }
  }

  /** The beginning of a line is no command (CPT 1.5): this text must never come back. */
  async #breakOff(client: Client): Promise<void> {
    await client.begin(`SEND ${this.#random.pick(this.#targets)} broken off`)
    await client.drop(this.#random.pick(["reset", "close"]))
  }

  /** What to do with the message whose ACK was not seen. Whether the session can go on. */
  async #resend(client: Client, pending: Pending): Promise<boolean> {
    const { isRepeat, sent, since } = pending
    if (Date.now() - since > resendWindow || this.#random.chance(0.2)) {
      this.#world.note(this.name, `gives up ${sent.text}`)
      this.#pending = undefined
      return true
    }
    this.#world.counts.resent++
    const answer = await client.ask(`SEND ${sent.target} ${sent.text}`)
    if (answer === undefined) return false
    this.#pending = undefined
    if (answer !== "ACK") return true // it may have been stored the first time
    if (isRepeat) return true
    this.#world.ledger.acked(sent)
    this.#world.counts.acked++
    this.#last = sent
    return true
  }

  #next(text: string): Sent {
    return this.#world.ledger.sending(this.name, this.#random.pick(this.#targets), text)
  }

  #text(): string {
    const number = ++this.#number
    const dice = this.#random.between(1, 100)
    // A text that was sent before is safe only where the last one is another one, and is known to be stored
    if (dice <= 4 && this.#last !== undefined) {
      const tiny = String.fromCharCode(97 + number % 26)
      if (tiny !== this.#last.text) return tiny
    }
    const size = dice <= 75 ? this.#random.between(0, 40) : dice <= 96
      ? this.#random.between(40, 600)
      : this.#random.between(600, 5000)
    const from = this.#random.between(0, 80)
    return `${this.name}.${number} ${filler.slice(from, from + size)}`.slice(0, 5500).toWellFormed()
  }
}
