/**
 * Clients that are wrong on purpose, each in one way: `PlainClient` with one of its methods changed, and the cases that
 * exist for this fault. As a program it is one of them: `ClientMutants.ts NUMBER send TARGET MESSAGE`; -1 is without a fault.
 */
import { Buffer } from "node:buffer"
import { Declined, later, Lost, type Message, PlainClient } from "./PlainClient.ts"

export interface ClientMutant {
  /** What is wrong with it. */
  readonly fault: string
  readonly client: new() => PlainClient
  /** Cases that do not pass; the first one is there for this fault. */
  readonly caughtBy: readonly [string, ...ReadonlyArray<string>]
}

const mutant = (
  fault: string,
  client: new() => PlainClient,
  ...[first, ...more]: ClientMutant["caughtBy"]
): ClientMutant => ({ fault, client, caughtBy: [`client/${first}`, ...more.map((id) => `client/${id}`)] })

export const clientMutants: ReadonlyArray<ClientMutant> = [
  // CONNECT
  mutant(
    "does not say who it is",
    class extends PlainClient {
      override async login() {
        await this.open()
      }
    },
    "connect/3.2/first"
  ),
  mutant(
    "says a full name",
    class extends PlainClient {
      override greeting() {
        return `CONNECT ${this.user} the first`
      }
    },
    "connect/3.2/first"
  ),
  mutant(
    "speaks before it is accepted",
    class extends PlainClient {
      override async login() {
        await this.open()
        this.say(this.greeting())
        void this.accepted()
        await later(100)
      }
    },
    "connect/6.2/waits-for-accept"
  ),
  mutant(
    "takes what comes behind ACCEPT for its next answer",
    class extends PlainClient {
      override async accepted() {
        await super.accepted()
        await later(100)
        if (this.lines.length > 0) this.isMessage = () => false
      }
    },
    "connect/1.6/with-accept"
  ),
  mutant(
    "takes a name that is taken for a success",
    class extends PlainClient {
      override status(error: unknown) {
        return error instanceof Declined && error.message.includes("taken") ? 0 : super.status(error)
      }
    },
    "connect/3.2/username-taken"
  ),
  mutant(
    "sends although its name was declined",
    class extends PlainClient {
      override async accepted() {
        await this.answer()
      }
    },
    "connect/3.2/username-taken",
    "connect/3.4/any-word"
  ),
  mutant(
    "does not say why it is declined",
    class extends PlainClient {
      override complains() {}
    },
    "connect/6.1/says-why",
    "send/6.1/says-why"
  ),
  mutant(
    "says the same of whatever is declined",
    class extends PlainClient {
      override complains() {
        super.complains("the server does not like this")
      }
    },
    "send/6.1/says-why",
    "connect/6.1/says-why"
  ),
  mutant(
    "keeps a connection that was declined",
    class extends PlainClient {
      override async accepted() {
        if (!this.isDeclined(await this.answer())) return
        await later(60_000)
      }
    },
    "connect/6.1/account-locked"
  ),
  mutant(
    "knows the default reasons only",
    class extends PlainClient {
      override isDeclined(answer: string) {
        return /^DECLINE (?:username_taken|account_locked|ip_invalid|\w+_command|already_logged_in)$/.test(answer)
      }
      override isAck(answer: string) {
        return super.isAck(answer) || answer.startsWith("DECLINE")
      }
    },
    "connect/3.4/any-word",
    "send/3.4/any-word"
  ),
  mutant(
    "gives up when the connection is lost during the login",
    class extends PlainClient {
      override async accepted() {
        try {
          await super.accepted()
        } catch (error) {
          throw error instanceof Lost ? new Error("no server") : error
        }
      }
    },
    "connect/6.3/lost-login"
  ),

  // SEND
  mutant(
    "does not wait for the ACK",
    class extends PlainClient {
      override async acknowledged() {}
    },
    "send/6.2/waits-for-ack",
    "send/6.2/one-at-a-time",
    "send/4.1/lost-ack"
  ),
  mutant(
    "sends all that it has at once, and waits for the ACKs then",
    class extends PlainClient {
      override async sends(target: string, texts: ReadonlyArray<string>) {
        await this.login()
        for (const text of texts) this.say(this.sendLine(target, text))
        for (const text of texts) await this.acknowledged(target, text)
      }
    },
    "send/6.2/one-at-a-time"
  ),
  mutant(
    "sends again when the ACK takes more than a second",
    class extends PlainClient {
      override async acknowledged(target: string, text: string) {
        if (!await this.hasLine(1000)) this.say(this.sendLine(target, text))
        await super.acknowledged(target, text)
      }
    },
    "send/6.3/late-ack"
  ),
  mutant(
    "tries another connection when the ACK takes more than a second",
    class extends PlainClient {
      override async acknowledged(target: string, text: string) {
        if (await this.hasLine(1000)) return super.acknowledged(target, text)
        await this.login()
        return this.send(target, text)
      }
    },
    "send/6.3/late-ack"
  ),
  mutant(
    "ends with 0 although the message was declined",
    class extends PlainClient {
      override status(error: unknown) {
        return error instanceof Declined ? 0 : super.status(error)
      }
    },
    "send/4.1/declined",
    "send/3.4/any-word",
    "sync/5.1/declined",
    "send/6.2/message-before-decline"
  ),
  mutant(
    "sends again what was declined",
    class extends PlainClient {
      override async acknowledged(target: string, text: string): Promise<void> {
        const answer = await this.answer()
        if (!this.isDeclined(answer)) return
        this.say(this.sendLine(target, text))
        return this.acknowledged(target, text)
      }
    },
    "send/4.1/declined"
  ),
  mutant(
    "ends with 0 although the connection was lost",
    class extends PlainClient {
      override status(error: unknown) {
        return error instanceof Lost ? 0 : super.status(error)
      }
    },
    "send/4.1/lost-ack",
    "send/4.1/no-ack",
    "sync/5.1/lost"
  ),
  mutant(
    "gives up at a MSG where it waits for the ACK",
    class extends PlainClient {
      override async acknowledged(target: string, text: string) {
        this.isMessage = () => false
        await super.acknowledged(target, text)
      }
    },
    "send/6.2/message-between",
    "send/6.2/announcement-between",
    "send/6.2/text-of-answers",
    "send/1.6/with-ack"
  ),
  mutant(
    "takes any line for the ACK",
    class extends PlainClient {
      override async acknowledged() {
        await this.line()
      }
    },
    "send/6.2/message-between",
    "send/6.2/message-before-decline",
    "send/6.4/diagram-between"
  ),
  mutant(
    "takes an announcement for an error",
    class extends PlainClient {
      override hears(line: string) {
        if (line.startsWith("MSG system")) throw new Error(line)
        super.hears(line)
      }
    },
    "send/6.2/announcement-between",
    "tail/5.9/announcement"
  ),
  mutant(
    "chokes on the form of the diagram",
    class extends PlainClient {
      override hears(line: string) {
        if (!/^MSG \S+ \S+ \d+ /.test(line)) throw new Error(line)
        super.hears(line)
      }
    },
    "send/6.4/diagram-between",
    "sync/6.4/diagram"
  ),
  mutant(
    "looks for ACK anywhere in what has come",
    class extends PlainClient {
      override async acknowledged() {
        while (!(await this.line()).includes("ACK")) { /* goes on */ }
      }
    },
    "send/6.2/text-of-answers"
  ),
  mutant(
    "takes what comes in one packet for one line",
    class extends PlainClient {
      override takes(chunk: Buffer) {
        this.lines.push(chunk.toString().trimEnd())
      }
    },
    "send/1.6/bytes",
    "send/1.6/with-ack",
    "sync/1.6/bytes",
    "sync/1.6/together",
    "tail/1.6/cuts"
  ),
  mutant(
    "takes a line that is not ended for a line",
    class extends PlainClient {
      override ends() {
        if (this.rest.length > 0) this.lines.push(this.rest.toString())
        this.rest = Buffer.alloc(0)
      }
    },
    "send/1.5/half-an-ack"
  ),
  mutant(
    "writes commands in lower case",
    class extends PlainClient {
      override sendLine(target: string, text: string) {
        return `send ${target} ${text}`
      }
    },
    "send/4.1/form"
  ),
  mutant(
    "folds spaces",
    class extends PlainClient {
      override sendLine(target: string, text: string) {
        return super.sendLine(target, text.replaceAll(/\s+/g, " "))
      }
    },
    "send/1.3/exact"
  ),
  mutant(
    "says nothing again that it has just said",
    class extends PlainClient {
      override async sends(target: string, texts: ReadonlyArray<string>) {
        await super.sends(target, [...new Set(texts)])
      }
    },
    "send/4.4/equal"
  ),
  mutant(
    "does not send again after a lost connection, and says so",
    class extends PlainClient {
      override async send(target: string, text: string) {
        try {
          await super.send(target, text)
        } catch (error) {
          throw error instanceof Lost ? new Error("it may have been stored, or not") : error
        }
      }
    },
    "send/6.3/sends-again",
    "send/6.3/again-and-again"
  ),
  mutant(
    "sends twice on a new connection",
    class extends PlainClient {
      #isNew = true
      override loses() {
        this.#isNew = false
      }
      override async send(target: string, text: string) {
        if (!this.#isNew) this.say(this.sendLine(target, text))
        await super.send(target, text)
      }
    },
    "send/6.3/again-and-again",
    "send/6.3/goes-on"
  ),
  mutant(
    "sends again what was acknowledged, if the connection ends right then",
    class extends PlainClient {
      override async send(target: string, text: string) {
        await super.send(target, text)
        await later(100)
        if (this.isLost) throw new Lost("lost")
      }
    },
    "send/6.3/not-twice",
    "send/6.3/goes-on"
  ),
  mutant(
    "leaves out a message whose ACK was lost",
    class extends PlainClient {
      override async send(target: string, text: string) {
        try {
          await super.send(target, text)
        } catch (error) {
          if (!(error instanceof Lost)) throw error
        }
      }
    },
    "send/6.3/goes-on"
  ),
  mutant(
    "goes on with the next message after a DECLINE that ends the session",
    class extends PlainClient {
      override async acknowledged() {
        await this.answer()
      }
    },
    "send/6.1/session-over"
  ),

  // SYNC
  mutant(
    "does not print the last message",
    class extends PlainClient {
      #before: Message | undefined
      override prints(message: Message) {
        if (this.#before !== undefined) super.prints(this.#before)
        this.#before = message
      }
    },
    "sync/5.1/prints",
    "tail/5.1/prints"
  ),
  mutant(
    "takes an empty answer for an error",
    class extends PlainClient {
      override async completed() {
        await super.completed()
        if (this.last === 0) throw new Error("there is no such group")
      }
    },
    "sync/5.1/empty"
  ),
  mutant(
    "thinks that an answer is over when nothing comes for a while",
    class extends PlainClient {
      override async completed() {
        while (await this.hasLine(400)) {
          const line = await this.line()
          if (this.isMessage(line)) this.hears(line)
        }
      }
    },
    "sync/5.6/waits-for-endsync"
  ),
  mutant(
    "asks for its inbox before the answer is over",
    class extends PlainClient {
      override async sync() {
        this.say(`SYNC ${this.group} ${this.after()}`)
        this.say("SYNC")
        await this.completed()
      }
    },
    "tail/5.6/waits-for-endsync",
    "sync/5.6/waits-for-endsync"
  ),
  mutant(
    "prints the first word of a message",
    class extends PlainClient {
      override prints({ sender, text }: Message) {
        super.prints({ sender, time: 0, text: text.split(" ", 1)[0] ?? "" })
      }
    },
    "sync/1.3/exact"
  ),
  mutant(
    "does not print what it has sent itself",
    class extends PlainClient {
      override prints(message: Message) {
        if (message.sender !== this.user) super.prints(message)
      }
    },
    "sync/5.5/own"
  ),
  mutant(
    "gives up when the server says that something is missing",
    class extends PlainClient {
      override hears(line: string) {
        if (/^MSG \S+ system 0 missing/.test(line)) throw new Error(line)
        super.hears(line)
      }
    },
    "sync/5.4/system"
  ),
  mutant(
    "knows messages of groups only",
    class extends PlainClient {
      override read(line: string) {
        return this.group === this.user ? undefined : super.read(line)
      }
    },
    "sync/5.2/inbox"
  ),
  mutant(
    "takes a message that ends with ENDSYNC for the end",
    class extends PlainClient {
      override isMessage(line: string) {
        return !line.endsWith("ENDSYNC")
      }
      override async completed() {
        await this.answer()
      }
    },
    "sync/5.6/text-of-answers"
  ),
  mutant(
    "prints what was there when the connection was lost as well",
    class extends PlainClient {
      override ends() {
        if (this.rest.length > 0) this.lines.push(this.rest.toString())
      }
    },
    "sync/6.3/goes-on",
    "tail/6.3/lost-answer"
  ),
  mutant(
    "prints each text once",
    class extends PlainClient {
      readonly #printed = new Set<string>()
      override prints(message: Message) {
        if (!this.#printed.has(message.text)) super.prints(message)
        this.#printed.add(message.text)
      }
    },
    "sync/5.1/equal",
    "tail/5.1/equal"
  ),

  // What comes by itself
  mutant(
    "asks, and does not listen",
    class extends PlainClient {
      override async follows(): Promise<never> {
        while (true) await later(1000)
      }
    },
    "tail/5.5/live",
    "tail/5.5/seam"
  ),
  mutant(
    "loses what comes in one packet with ENDSYNC",
    class extends PlainClient {
      override async sync() {
        await super.sync()
        this.lines = []
      }
    },
    "tail/5.5/seam"
  ),
  mutant(
    "begins anew after a lost connection",
    class extends PlainClient {
      override after() {
        return 0
      }
    },
    "tail/6.3/last-timestamp",
    "tail/6.3/nothing-lost",
    "tail/6.3/server-away"
  ),
  mutant(
    "asks from the message before the last one",
    class extends PlainClient {
      override after() {
        return Math.max(0, this.last - 1)
      }
    },
    "tail/6.3/last-timestamp",
    "tail/6.3/nothing-lost"
  ),
  mutant(
    "asks from now on after a lost connection",
    class extends PlainClient {
      override after() {
        return this.last === 0 ? 0 : Date.now()
      }
    },
    "tail/6.3/last-timestamp",
    "tail/6.3/nothing-lost",
    "tail/6.3/lost-answer"
  ),
  mutant(
    "tries to connect again without a pause",
    class extends PlainClient {
      override waits() {
        return later(0)
      }
    },
    "tail/6.3/backoff"
  ),
  mutant(
    "tries to connect again ten times a second, for ever",
    class extends PlainClient {
      override waits() {
        return later(100)
      }
    },
    "tail/6.3/backoff"
  ),
  mutant(
    "does not come back when the server was away",
    class extends PlainClient {
      override async tails(): Promise<never> {
        await this.login()
        await this.sync()
        return this.follows()
      }
    },
    "tail/6.3/server-away",
    "tail/6.3/lost-answer"
  )
]

if (process.argv[1] === import.meta.filename) {
  const [, , number = "", ...args] = process.argv
  const Client = clientMutants[Number(number)]?.client ?? PlainClient
  process.exit(await new Client().main(args))
}
