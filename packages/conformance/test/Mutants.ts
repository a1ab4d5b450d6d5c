/**
 * Servers that are wrong on purpose, each in one way: `Plain` with one of its methods changed, and the cases that exist
 * for this fault. What a mutant does elsewhere is not said here: one fault may break many cases.
 */
import { Buffer } from "node:buffer"
import { type Message, Plain, type Session } from "./Plain.ts"

export interface Mutant {
  /** What is wrong with it. */
  readonly fault: string
  readonly server: new() => Plain
  /** Cases that do not pass; the first one is there for this fault. */
  readonly caughtBy: readonly [string, ...ReadonlyArray<string>]
}

const mutant = (fault: string, server: new() => Plain, ...caughtBy: Mutant["caughtBy"]): Mutant => ({
  fault,
  server,
  caughtBy
})

/** A server that does something every second time. */
abstract class Alternating extends Plain {
  readonly #times = new WeakMap<Session, number>()
  isSecond(session: Session): boolean {
    const times = (this.#times.get(session) ?? 0) + 1
    this.#times.set(session, times)
    return times % 2 === 0
  }
}

/** A server that does something to the first message that comes live after an answer. */
abstract class Seamed extends Plain {
  readonly #seams = new Set<string>()
  override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>): void {
    super.tellsAll(session, group, messages)
    if (group !== session.name) this.#seams.add(`${session.name} ${group}`)
  }
  isAtSeam({ target }: Message, { name }: Session): boolean {
    return this.#seams.delete(`${name} ${target}`)
  }
}

/** A server that goes on declining when it has no cause any more. */
class Stubborn extends Plain {
  override control(verb: string, name: string, ...rest: ReadonlyArray<string>): boolean {
    return verb === "accept" || super.control(verb, name, ...rest)
  }
}

const later = (millis: number, what: () => void): void => {
  setTimeout(what, millis)
}

export const mutants: ReadonlyArray<Mutant> = [
  // CONNECT
  mutant(
    "accepts nobody",
    class extends Plain {
      override refusal() {
        return "account_locked"
      }
    },
    "connect/3.2/accept"
  ),
  mutant(
    "has room for one user only",
    class extends Plain {
      override refusal(session: Session, name: string) {
        return [...this.sessions].some(({ name }) => name !== undefined)
          ? "account_locked"
          : super.refusal(session, name)
      }
    },
    "connect/3.2/two"
  ),
  mutant(
    "gives a name to whoever asks for it",
    class extends Plain {
      override isInUse() {
        return false
      }
    },
    "connect/3.2/taken",
    "connect/3.2/username-taken"
  ),
  mutant(
    "says name_in_use instead of username_taken",
    class extends Plain {
      override declines(session: Session, reason: string) {
        super.declines(session, reason === "username_taken" ? "name_in_use" : reason)
      }
    },
    "connect/3.2/username-taken"
  ),
  mutant(
    "throws out who has a name when another asks for it",
    class extends Plain {
      override refusal(session: Session, name: string) {
        for (const other of this.sessions) if (other.name === name) other.name = undefined
        return super.refusal(session, name) ?? (this.targets.has(name) ? "username_taken" : undefined)
      }
    },
    "connect/3.2/keeps-name"
  ),
  mutant(
    "keeps the names of those who have gone",
    class extends Plain {
      readonly #names = new Set<string>()
      override isInUse(name: string) {
        const isInUse = this.#names.has(name)
        this.#names.add(name)
        return isInUse
      }
    },
    "connect/3.2/free-again",
    "connect/3.2/free-after-cut"
  ),
  mutant(
    "frees a name only when somebody has asked for it in vain",
    class extends Plain {
      readonly #left = new Set<string>()
      override leaves(session: Session) {
        super.leaves(session)
        this.#left.add(session.name ?? "")
      }
      override isInUse(name: string) {
        return this.#left.delete(name) || super.isInUse(name)
      }
    },
    "connect/3.2/free-at-once"
  ),
  mutant(
    "keeps the name of a connection that was reset",
    class extends Plain {
      readonly #dead = new Set<string>()
      override comes(socket: Session["socket"]) {
        super.comes(socket)
        const session = [...this.sessions].at(-1)
        socket.once("error", () => this.#dead.add(session?.name ?? ""))
      }
      override isInUse(name: string) {
        return this.#dead.has(name) || super.isInUse(name)
      }
    },
    "connect/3.2/free-after-cut"
  ),
  mutant(
    "throws out who says nothing after CONNECT",
    class extends Plain {
      override answers(session: Session, line: string) {
        super.answers(session, line)
        if (line === "ACCEPT") later(100, () => session.socket.destroySoon())
      }
    },
    "connect/0.3/no-answer"
  ),
  mutant(
    "lets a second CONNECT change the name",
    class extends Plain {
      override connect(session: Session, fields: ReadonlyArray<string>) {
        session.name = undefined
        super.connect(session, fields)
      }
    },
    "connect/3.2/already-logged-in"
  ),
  mutant(
    "declines a second CONNECT, and changes the name",
    class extends Plain {
      override connect(session: Session, fields: ReadonlyArray<string>) {
        const { name } = session
        super.connect(session, fields)
        if (name !== undefined) session.name = fields[0]
      }
    },
    "connect/3.2/name-stays"
  ),
  mutant(
    "takes a second CONNECT with one's own name for all right",
    class extends Plain {
      override connect(session: Session, fields: ReadonlyArray<string>) {
        if (session.name !== undefined && session.name === fields[0]) this.answers(session, "ACCEPT")
        else super.connect(session, fields)
      }
    },
    "connect/3.2/own-name-again"
  ),
  mutant(
    "looks who is logged in before it looks at the grammar",
    class extends Plain {
      override connect(session: Session, fields: ReadonlyArray<string>) {
        if (session.name !== undefined) this.declines(session, "already_logged_in")
        else super.connect(session, fields)
      }
    },
    "connect/3.2/grammar-first"
  ),

  // Names
  mutant(
    "accepts system",
    class extends Plain {
      override isReserved() {
        return false
      }
    },
    "names/2.1/system",
    "names/2.1/system-target"
  ),
  mutant(
    "reserves system in small letters only",
    class extends Plain {
      override isReserved(name: string) {
        return name === "system"
      }
    },
    "names/2.1/system-taken",
    "names/2.1/system-target"
  ),
  mutant(
    "writes names in small letters",
    class extends Plain {
      override connect(session: Session, fields: ReadonlyArray<string>) {
        super.connect(session, fields.map((field) => field.toLowerCase()))
      }
    },
    "msg/0.3/sender",
    "names/2.1/exact"
  ),
  mutant(
    "compares names without case",
    class extends Plain {
      override isInUse(name: string) {
        return [...this.sessions].some((session) => session.name?.toLowerCase() === name.toLowerCase())
      }
    },
    "names/2.1/exact"
  ),
  mutant(
    "counts the characters of names, not their bytes",
    class extends Plain {
      override isName(name: string) {
        return name.length === 64 || super.isName(name)
      }
    },
    "names/2.1/bytes"
  ),
  mutant(
    "takes names of any length",
    class extends Plain {
      override isName(name: string) {
        return name.length > 64 || super.isName(name)
      }
    },
    "names/2.1/too-long"
  ),
  mutant(
    "takes names of ASCII only",
    class extends Plain {
      override isName(name: string) {
        return /^[!-~]{1,64}$/.test(name)
      }
    },
    "names/2.1/other-scripts"
  ),
  mutant(
    "takes names of at most 32 bytes",
    class extends Plain {
      override isName(name: string) {
        return name.length <= 32 && super.isName(name)
      }
    },
    "names/2.1/longest"
  ),
  mutant(
    "knows only the white space of ASCII, and no invisible characters",
    class extends Plain {
      override isName(name: string) {
        return /^[^\s\u0000-\u0020\u007f]{1,64}$/.test(name) || /^[^ ]+[\u00a0\u3000\u2003\u200b\u202e]/.test(name)
      }
    },
    "names/2.1/white-space",
    "names/2.1/invisible"
  ),
  mutant(
    "normalizes names instead of refusing them",
    class extends Plain {
      override isName(name: string) {
        return super.isName(name.normalize("NFC"))
      }
    },
    "names/2.1/nfc"
  ),
  mutant(
    "throws away what was sent to a name before somebody had it",
    class extends Plain {
      override answers(session: Session, line: string) {
        if (line === "ACCEPT" && session.name !== undefined) this.target(session.name).messages.length = 0
        super.answers(session, line)
      }
    },
    "names/2.2/open"
  ),
  mutant(
    "lets somebody connect with the name of a group",
    class extends Plain {
      override refusal(session: Session, name: string) {
        const target = this.targets.get(name)
        if (target?.kind === "group") target.kind = "open"
        return super.refusal(session, name)
      }
    },
    "names/2.2/group",
    "names/2.2/group-stays",
    "names/2.2/forgotten"
  ),
  mutant(
    "forgets that somebody was a user when they go",
    class extends Plain {
      override leaves(session: Session) {
        const target = this.targets.get(session.name ?? "")
        super.leaves(session)
        if (target !== undefined) target.kind = "open"
      }
    },
    "names/2.2/user-stays"
  ),
  mutant(
    "never forgets a name",
    class extends Plain {
      override forgets() {}
    },
    "names/2.2/forgotten",
    "names/2.2/user-forgotten"
  ),
  mutant(
    "does not know targets that nobody has had",
    class extends Plain {
      override send(session: Session, fields: ReadonlyArray<string>, isResend: boolean) {
        if (fields[1] === undefined || this.targets.has(fields[0] ?? "")) super.send(session, fields, isResend)
        else this.declines(session, "invalid_command")
      }
    },
    "names/2.3/first-send"
  ),

  // DECLINE
  mutant(
    "declines without a reason",
    class extends Plain {
      override declines(session: Session) {
        this.says(session, "DECLINE")
      }
    },
    "decline/3.4/reason",
    "connect/3.2/username-taken"
  ),
  mutant(
    "explains reasons",
    class extends Plain {
      override declines(session: Session, reason: string) {
        super.declines(session, `${reason} because of ${reason}`)
      }
    },
    "decline/3.4/bare-word"
  ),
  mutant(
    "passes over what it does not know",
    class extends Plain {
      override hears(session: Session, line: string) {
        if (/^(?:CONNECT|SEND|SYNC|ACCEPT|DECLINE|ACK|MSG|ENDSYNC)\b/.test(line)) super.hears(session, line)
      }
    },
    "decline/3.3/unknown-command",
    "decline/3.3/empty-line"
  ),
  mutant(
    "says unsupported_command of what it does not know",
    class extends Plain {
      override declines(session: Session, reason: string) {
        super.declines(session, reason === "invalid_command" ? "unsupported_command" : reason)
      }
    },
    "decline/3.3/unknown-command",
    "decline/3.3/connect-without-name",
    "decline/3.3/send-without-target",
    "decline/3.3/send-without-message",
    "decline/3.3/sync-without-after",
    "decline/3.3/sync-after-word"
  ),
  mutant(
    "says invalid_command of words that only a server says",
    class extends Plain {
      override declines(session: Session, reason: string) {
        super.declines(session, reason === "unsupported_command" ? "invalid_command" : reason)
      }
    },
    "decline/3.3/server-words"
  ),
  mutant(
    "takes an ACK of a client for all right",
    class extends Plain {
      override hears(session: Session, line: string) {
        if (line !== "ACCEPT" && line !== "ACK") super.hears(session, line)
      }
    },
    "decline/3.3/server-word",
    "decline/3.3/server-words"
  ),
  mutant(
    "gives whoever says CONNECT without a name a name",
    class extends Plain {
      override connect(session: Session, fields: ReadonlyArray<string>) {
        super.connect(session, fields.length === 0 ? [`guest${Math.random()}`] : fields)
      }
    },
    "decline/3.3/connect-without-name"
  ),
  mutant(
    "takes a SEND without a message for one of an empty message",
    class extends Plain {
      override isMessage() {
        return true
      }
    },
    "decline/3.3/send-without-message",
    "decline/3.3/empty-fields",
    "decline/3.3/nothing-happens",
    "send/4.3/control"
  ),
  mutant(
    "takes a SYNC without a timestamp for one of everything",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        super.sync(session, fields.length === 1 ? [...fields, "0"] : fields)
      }
    },
    "decline/3.3/sync-without-after"
  ),
  mutant(
    "takes whatever Number() takes for a timestamp",
    class extends Plain {
      override isTime(text: string) {
        return !Number.isNaN(Number(text))
      }
    },
    "sync/5.1/after-grammar"
  ),
  mutant(
    "takes 0 for whatever is no timestamp",
    class extends Plain {
      override isTime() {
        return true
      }
    },
    "decline/3.3/sync-after-word",
    "sync/5.1/after-grammar"
  ),
  mutant(
    "passes over fields too many",
    class extends Plain {
      override connect(session: Session, fields: ReadonlyArray<string>) {
        super.connect(session, fields.slice(0, 1))
      }
    },
    "decline/3.3/extra-fields"
  ),
  mutant(
    "closes the connection after a DECLINE",
    class extends Plain {
      override hasEnough() {
        return true
      }
    },
    "decline/3.5/goes-on",
    "connect/3.2/another-name",
    "connect/3.1/and-then"
  ),
  mutant(
    "lets somebody try logins for ever",
    class extends Plain {
      override hasEnough({ declined }: Session) {
        return declined === 20
      }
    },
    "decline/3.5/three-logins"
  ),
  mutant(
    "has enough of somebody after 19 declines",
    class extends Plain {
      override hasEnough({ declined, refused }: Session) {
        return declined === 19 || refused === 3
      }
    },
    "decline/3.5/twenty"
  ),
  mutant(
    "serves who has not logged in",
    class extends Plain {
      override send(session: Session, fields: ReadonlyArray<string>, isResend: boolean) {
        const { name } = session
        session.name ??= "anonymous"
        super.send(session, fields, isResend)
        session.name = name
      }
      override sync(session: Session, fields: ReadonlyArray<string>) {
        const { name } = session
        session.name ??= "anonymous"
        super.sync(session, fields)
        session.name = name
      }
    },
    "connect/3.1/send-before",
    "connect/3.1/sync-before"
  ),
  mutant(
    "acknowledges a message of who has not logged in, and throws it away",
    class extends Plain {
      override send(session: Session, fields: ReadonlyArray<string>, isResend: boolean) {
        if (session.name === undefined && fields.length > 1) this.answers(session, "ACK")
        else super.send(session, fields, isResend)
      }
    },
    "send/4.1/before-connect",
    "connect/3.1/send-before"
  ),
  mutant(
    "says not_logged_in to whatever comes before a login",
    class extends Plain {
      override hears(session: Session, line: string) {
        if (session.name === undefined && !line.startsWith("CONNECT")) this.declines(session, "not_logged_in")
        else super.hears(session, line)
      }
    },
    "connect/3.1/refused-before"
  ),

  // SEND and ACK
  mutant(
    "drops every second ACK",
    class extends Alternating {
      override answers(session: Session, line: string) {
        if (line !== "ACK" || !this.isSecond(session)) super.answers(session, line)
      }
    },
    "send/4.1/each"
  ),
  mutant(
    "says ACK twice",
    class extends Plain {
      override answers(session: Session, line: string) {
        super.answers(session, line === "ACK" ? "ACK\nACK" : line)
      }
    },
    "send/4.1/each"
  ),
  mutant(
    "answers no SEND",
    class extends Plain {
      override answers(session: Session, line: string) {
        if (line !== "ACK") super.answers(session, line)
      }
    },
    "send/4.1/group",
    "send/4.1/user",
    "send/4.1/nobody"
  ),
  mutant(
    "says nothing to a SEND to a user who is not there",
    class extends Plain {
      override send(session: Session, fields: ReadonlyArray<string>, isResend: boolean) {
        if (fields[1] === undefined || this.targets.has(fields[0] ?? "")) super.send(session, fields, isResend)
      }
    },
    "send/4.1/nobody"
  ),
  mutant(
    "says OK instead of ACK",
    class extends Plain {
      override answers(session: Session, line: string) {
        super.answers(session, line === "ACK" ? "OK" : line)
      }
    },
    "send/4.1/group"
  ),
  mutant(
    "says the timestamp with an ACK, and the group with ENDSYNC",
    class extends Plain {
      override answers(session: Session, line: string) {
        super.answers(session, line === "ACK" ? `ACK ${Date.now()}` : line === "ENDSYNC" ? "ENDSYNC group" : line)
      }
    },
    "answers/0.3/bare"
  ),
  mutant(
    "trims messages",
    class extends Plain {
      override messageOf(words: ReadonlyArray<string>) {
        return super.messageOf(words).trim()
      }
    },
    "framing/1.3/spaces-of-a-message",
    "send/4.3/shortest"
  ),
  mutant(
    "takes any number of spaces for one",
    class extends Plain {
      override hears(session: Session, line: string) {
        super.hears(session, line.replaceAll(/ +/g, " "))
      }
    },
    "framing/1.3/two-spaces",
    "framing/1.3/spaces-of-a-message",
    "send/1.3/text"
  ),
  mutant(
    "takes only the first word of a message",
    class extends Plain {
      override messageOf(words: ReadonlyArray<string>) {
        return words[0] ?? ""
      }
    },
    "send/1.3/text",
    "send/4.3/like-a-command"
  ),
  mutant(
    "escapes messages for HTML",
    class extends Plain {
      override messageOf(words: ReadonlyArray<string>) {
        return super.messageOf(words).replaceAll("&", "&amp;").replaceAll("<", "&lt;")
      }
    },
    "send/1.3/text",
    "send/4.3/as-it-is"
  ),
  mutant(
    "normalizes messages",
    class extends Plain {
      override messageOf(words: ReadonlyArray<string>) {
        return super.messageOf(words).normalize("NFKC")
      }
    },
    "send/4.3/as-it-is"
  ),
  mutant(
    "takes no TAB",
    class extends Plain {
      override isMessage(text: string) {
        return super.isMessage(text) && !text.includes("\t")
      }
    },
    "send/4.3/tab"
  ),
  mutant(
    "takes what begins like a command for one",
    class extends Plain {
      override messageOf(words: ReadonlyArray<string>) {
        return words[0] === "SEND" ? "" : super.messageOf(words)
      }
    },
    "send/4.3/like-a-command"
  ),
  mutant(
    "takes command words in any case",
    class extends Plain {
      override hears(session: Session, line: string) {
        super.hears(session, line.replace(/^\w+/, (word) => word.toUpperCase()))
      }
    },
    "framing/1.6/upper-case"
  ),
  mutant(
    "parts fields at tabs too",
    class extends Plain {
      override hears(session: Session, line: string) {
        super.hears(session, line.startsWith("CONNECT\t") ? line.replace("\t", " ") : line)
      }
    },
    "framing/1.3/tab"
  ),
  mutant(
    "trims lines",
    class extends Plain {
      override hears(session: Session, line: string) {
        super.hears(session, line.trim())
      }
    },
    "framing/1.3/outer-spaces",
    "framing/1.3/spaces-of-a-message"
  ),

  // Timestamps
  mutant(
    "gives messages of one second the same timestamp",
    class extends Plain {
      override timeAfter(last: number) {
        return Math.max(Math.floor(Date.now() / 1000) * 1000, last)
      }
    },
    "send/4.2/increasing",
    "send/4.2/paging"
  ),
  mutant(
    "gives timestamps that decrease",
    class extends Plain {
      override timeAfter(last: number) {
        return last === 0 ? Date.now() : last - 1
      }
    },
    "sync/5.1/messages",
    "send/4.2/increasing"
  ),
  mutant(
    "counts messages instead of telling the time",
    class extends Plain {
      override timeAfter(last: number) {
        return last + 1
      }
    },
    "msg/4.2/time",
    "msg/4.2/passes"
  ),
  mutant(
    "counts from when it was started",
    class extends Plain {
      override timeAfter(last: number) {
        return Math.max(Math.round(performance.now()), last + 1)
      }
    },
    "msg/4.2/time"
  ),
  mutant(
    "gives timestamps in seconds",
    class extends Plain {
      override timeAfter(last: number) {
        return Math.max(Math.floor(Date.now() / 1000), last)
      }
    },
    "send/4.2/milliseconds"
  ),
  mutant(
    "tells the time of the SYNC, not that of the message",
    class extends Plain {
      override line(message: Message) {
        return super.line({ ...message, time: Math.max(Date.now(), message.time) })
      }
    },
    "sync/5.1/again"
  ),

  // Re-sends
  mutant(
    "knows no message again",
    class extends Plain {
      override isResend() {
        return false
      }
    },
    "send/4.4/resend",
    "send/4.4/resend-again",
    "send/4.4/resend-at-any-moment"
  ),
  mutant(
    "takes every repeat for a re-send",
    class extends Plain {
      override isUnconfirmed() {
        return true
      }
    },
    "send/4.4/repeat"
  ),
  mutant(
    "does not know that an ACK was seen when a connection ends in good order",
    class extends Plain {
      override ends(session: Session) {
        session.socket.end()
      }
    },
    "send/4.4/after-a-good-end"
  ),
  mutant(
    "takes what somebody else says for a re-send",
    class extends Plain {
      override isResend(_: Session, line: string) {
        const unseen = [...this.last.values()].filter((last) => this.isUnconfirmed(last))
        return unseen.some(({ message: { target, text } }) => line === `SEND ${target} ${text}`)
      }
    },
    "send/4.4/others"
  ),
  mutant(
    "knows a message again after others",
    class extends Plain {
      readonly #unseen = new Set<string>()
      override isResend(session: Session, line: string) {
        const isResend = super.isResend(session, line)
        const last = this.last.get(session.name ?? "")
        if (last !== undefined && this.isUnconfirmed(last)) {
          this.#unseen.add(`${session.name} SEND ${last.message.target} ${last.message.text}`)
        }
        return isResend || this.#unseen.has(`${session.name} ${line}`)
      }
    },
    "send/4.4/ends"
  ),

  // SYNC
  mutant(
    "is off by one in after: gives what was sent at that time too",
    class extends Plain {
      override isAfter(time: number, after: number) {
        return time >= after
      }
    },
    "sync/5.1/after",
    "sync/5.1/nothing-new",
    "send/4.2/paging"
  ),
  mutant(
    "is off by one in after: misses the next millisecond",
    class extends Plain {
      override isAfter(time: number, after: number) {
        return time > after + 1
      }
    },
    "sync/5.1/just-before"
  ),
  mutant(
    "says ENDSYNC before the last message",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages.slice(0, -1))
        const last = messages.at(-1)
        if (last !== undefined) setImmediate(() => this.tells(session, last))
      }
    },
    "sync/5.1/messages",
    "sync/5.1/all"
  ),
  mutant(
    "says no ENDSYNC",
    class extends Plain {
      override answers(session: Session, line: string) {
        if (line !== "ENDSYNC") super.answers(session, line)
      }
    },
    "sync/5.1/messages",
    "sync/5.1/empty"
  ),
  mutant(
    "says nothing of a group that is empty",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        if (fields.length === 0 || this.targets.has(fields[0] ?? "") || !this.isTime(fields[1] ?? "")) {
          super.sync(session, fields)
        }
      }
    },
    "sync/5.1/empty"
  ),
  mutant(
    "declines a group that nobody has sent to",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        const isKnown = fields.length !== 2 || this.targets.has(fields[0] ?? "") || !this.isTime(fields[1] ?? "")
        if (isKnown) super.sync(session, fields)
        else this.declines(session, "unknown_group")
      }
    },
    "sync/5.3/unknown-group",
    "sync/5.1/empty"
  ),
  mutant(
    "leaves one's own messages out of an answer",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages.filter(({ sender }) => sender !== session.name))
      }
    },
    "sync/5.1/own",
    "live/5.5/own-in-a-sync"
  ),
  mutant(
    "gives at most twenty messages",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages.slice(0, 20))
      }
    },
    "sync/5.1/all"
  ),
  mutant(
    "gives at most a thousand messages",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages.slice(0, 1000))
      }
    },
    "load/5.1/long-answer"
  ),
  mutant(
    "gives the newest messages first",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages.toReversed())
      }
    },
    "sync/5.1/oldest-first",
    "sync/5.1/same-order"
  ),
  mutant(
    "names the receiver's group in every MSG, whatever was asked for",
    class extends Plain {
      override line(message: Message) {
        return super.line({ ...message, target: message.sender })
      }
    },
    "sync/5.1/group"
  ),
  mutant(
    "speaks the form of the diagram everywhere",
    class extends Plain {
      override line({ sender, text, time }: Message) {
        return `MSG ${sender} ${time} ${text}`
      }
    },
    "sync/5.1/group"
  ),
  mutant(
    "speaks the form of the diagram for private messages",
    class extends Plain {
      override tells(session: Session, message: Message) {
        const { sender, target, text, time } = message
        if (target === session.name) this.says(session, `MSG ${sender} ${time} ${text}`)
        else super.tells(session, message)
      }
    },
    "sync/5.2/inbox"
  ),
  mutant(
    "names the sender as the group of a private message",
    class extends Plain {
      override tells(session: Session, message: Message) {
        super.tells(session, message.target === session.name ? { ...message, target: message.sender } : message)
      }
    },
    "sync/5.2/inbox"
  ),
  mutant(
    "does not know SYNC of one's own name",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        if (fields[0] === session.name && session.name !== undefined) this.declines(session, "invalid_command")
        else super.sync(session, fields)
      }
    },
    "sync/5.2/inbox-after"
  ),
  mutant(
    "declines an inbox that is empty",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        const isEmpty = fields.length === 0 && this.targets.get(session.name ?? "")?.messages.length === 0
        if (isEmpty) this.declines(session, "unknown_group")
        else super.sync(session, fields)
      }
    },
    "sync/5.2/empty"
  ),
  mutant(
    "lets nobody send to themselves",
    class extends Plain {
      override stores(session: Session, target: string, sender: string, text: string) {
        if (target !== sender) super.stores(session, target, sender, text)
      }
    },
    "sync/5.2/to-oneself"
  ),
  mutant(
    "reads timestamps into 32 bits",
    class extends Plain {
      override isAfter(time: number, after: number) {
        return after > 2 ** 48 ? time > (after | 0) : super.isAfter(time, after)
      }
    },
    "sync/5.1/largest"
  ),
  mutant(
    "gives what was sent to a name before it was a group to nobody",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        const isNew = ![...this.sessions].some(({ follows }) => follows.has(group))
        super.tellsAll(session, group, isNew && messages.length === 1 ? [] : messages)
      }
    },
    "names/2.2/kinds"
  ),
  mutant(
    "does not know SYNC without a group",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        if (fields.length === 0) this.declines(session, "invalid_command")
        else super.sync(session, fields)
      }
    },
    "sync/5.2/inbox"
  ),
  mutant(
    "gives messages of other groups in an answer",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        const others = [...this.targets].filter(([name, { kind }]) => name !== group && kind !== "user")
        const last = others.at(-1)?.[1].messages.at(-1)
        super.tellsAll(session, group, last === undefined ? messages : [...messages, last])
      }
    },
    "sync/5.1/only-the-group"
  ),
  mutant(
    "leaks private messages to whoever asks",
    class extends Plain {
      override isPrivate() {
        return false
      }
    },
    "sync/5.3/leaks-nothing",
    "sync/5.3/told",
    "names/2.2/user-stays"
  ),
  mutant(
    "says nothing of why somebody else's messages do not come",
    class extends Plain {
      override says(session: Session, line: string) {
        if (!line.includes(" system 0 private")) super.says(session, line)
      }
    },
    "sync/5.3/told",
    "sync/5.3/system-message"
  ),
  mutant(
    "drops private messages",
    class extends Plain {
      override stores(session: Session, target: string, sender: string, text: string) {
        if (this.targets.get(target)?.kind !== "user") super.stores(session, target, sender, text)
      }
    },
    "send/2.2/private"
  ),
  mutant(
    "forgets the messages of who has gone",
    class extends Plain {
      override leaves(session: Session) {
        super.leaves(session)
        for (const { messages } of this.targets.values()) {
          const others = messages.filter(({ sender }) => sender !== session.name)
          messages.splice(0, messages.length, ...others)
        }
      }
    },
    "sync/5.1/after-its-sender"
  ),
  mutant(
    "stores a message only when the next comes, or was asked for",
    class extends Plain {
      readonly #late = new Map<string, () => void>()
      override stores(session: Session, target: string, sender: string, text: string) {
        this.#storesLate(target)
        this.#late.set(target, () => super.stores(session, target, sender, text))
      }
      override sync(session: Session, fields: ReadonlyArray<string>) {
        super.sync(session, fields)
        this.#storesLate(fields[0] ?? session.name ?? "")
      }
      #storesLate(target: string) {
        this.#late.get(target)?.()
        this.#late.delete(target)
      }
    },
    "sync/5.1/acked-is-there",
    "sync/5.1/acked-is-in-the-inbox"
  ),
  mutant(
    "names the receiver as the sender",
    class extends Plain {
      override tells(session: Session, message: Message) {
        super.tells(session, { ...message, sender: session.name ?? "" })
      }
    },
    "msg/0.3/sender"
  ),

  // Live messages
  mutant(
    "sends messages back to who sent them",
    class extends Plain {
      override stores(session: Session, target: string, sender: string, text: string) {
        super.stores(session, target, sender, text)
        const message = this.target(target).messages.at(-1)
        if (message !== undefined && this.isFor(message, session)) this.tells(session, message)
      }
    },
    "live/5.5/own"
  ),
  mutant(
    "leaks private messages to whoever follows something",
    class extends Plain {
      override isFor(message: Message, session: Session) {
        return super.isFor(message, session) ||
          (session.follows.size > 0 && this.targets.get(message.target)?.kind === "user")
      }
    },
    "live/5.5/only-followed"
  ),
  mutant(
    "tells everybody everything",
    class extends Plain {
      override isFor(_: Message, { name }: Session) {
        return name !== undefined
      }
    },
    "live/5.5/only-followed",
    "live/5.5/not-followed"
  ),
  mutant(
    "follows one group at a time",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        session.follows.clear()
        super.tellsAll(session, group, messages)
      }
    },
    "live/5.5/two-groups"
  ),
  mutant(
    "stops to follow after the first message",
    class extends Plain {
      override tells(session: Session, message: Message) {
        super.tells(session, message)
        session.follows.delete(message.target)
      }
    },
    "live/5.5/follows"
  ),
  mutant(
    "follows only who was given something",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages)
        if (messages.length === 0 && this.target(group).messages.length === 0) session.follows.delete(group)
      }
    },
    "live/5.5/after"
  ),
  mutant(
    "tells private messages twice",
    class extends Plain {
      override tells(session: Session, message: Message) {
        super.tells(session, message)
        if (message.target === session.name) super.tells(session, message)
      }
    },
    "live/5.5/inbox"
  ),
  mutant(
    "tells messages in another form live than in an answer",
    class extends Plain {
      override stores(session: Session, target: string, sender: string, text: string) {
        super.stores(session, target, sender, text)
        const message = this.target(target).messages.at(-1)
        if (message !== undefined) Object.assign(message, { time: message.time + 1 })
      }
    },
    "live/5.5/same"
  ),
  mutant(
    "remembers what somebody followed in another session",
    class extends Plain {
      readonly #follows = new Map<string, Set<string>>()
      override leaves(session: Session) {
        this.#follows.set(session.name ?? "", new Set(session.follows))
        super.leaves(session)
      }
      override answers(session: Session, line: string) {
        super.answers(session, line)
        if (line !== "ACCEPT") return
        for (const group of this.#follows.get(session.name ?? "") ?? []) session.follows.add(group)
      }
    },
    "live/5.5/ends"
  ),
  mutant(
    "loses the message at the seam between an answer and what comes live",
    class extends Seamed {
      override isFor(message: Message, session: Session) {
        return super.isFor(message, session) && !this.isAtSeam(message, session)
      }
    },
    "live/5.5/seam",
    "live/5.5/seam-from-a-cursor"
  ),
  mutant(
    "doubles the message at the seam",
    class extends Seamed {
      override isFor(message: Message, session: Session) {
        const isFor = super.isFor(message, session) && message.sender !== session.name
        if (isFor && this.isAtSeam(message, session)) this.tells(session, message)
        return isFor
      }
    },
    "live/5.5/seam",
    "live/5.5/seam-from-now"
  ),
  mutant(
    "tells a message twice to who has synced twice",
    class extends Plain {
      readonly #twice = new Set<string>()
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        if (session.follows.has(group)) this.#twice.add(`${session.name} ${group}`)
        super.tellsAll(session, group, messages)
      }
      override stores(session: Session, target: string, sender: string, text: string) {
        super.stores(session, target, sender, text)
        const message = this.target(target).messages.at(-1)
        for (const other of this.sessions) {
          if (message !== undefined && this.#twice.has(`${other.name} ${target}`)) this.tells(other, message)
        }
      }
    },
    "live/5.5/again"
  ),
  mutant(
    "loses private messages that come soon after a login",
    class extends Alternating {
      override isFor(message: Message, session: Session) {
        return super.isFor(message, session) && !(message.target === session.name && this.isSecond(session))
      }
    },
    "live/5.5/login-seam"
  ),
  mutant(
    "tells followers every fifth message after the next one",
    class extends Plain {
      override isFor(message: Message, session: Session) {
        return super.isFor(message, session) && this.target(message.target).messages.length % 5 !== 2
      }
      override stores(session: Session, target: string, sender: string, text: string) {
        super.stores(session, target, sender, text)
        const { messages } = this.target(target)
        const held = messages.at(-2)
        if (held === undefined || messages.length % 5 !== 3) return
        for (const other of this.sessions) if (this.isFor(held, other)) this.tells(other, held)
      }
    },
    "live/5.5/two-followers"
  ),
  mutant(
    "does not tell who has just said something",
    class extends Alternating {
      override isFor(message: Message, session: Session) {
        return super.isFor(message, session) &&
          (this.last.get(session.name ?? "") === undefined || !this.isSecond(session))
      }
    },
    "live/5.5/among-one-s-own"
  ),
  mutant(
    "lets live messages into the answer to a SYNC",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        const messages = this.targets.get(fields[0] ?? "")?.messages ?? []
        if (fields.length !== 2 || messages.length < 100) return super.sync(session, fields)
        const all = [...messages]
        const some = () => {
          for (const message of all.splice(0, 50)) this.tells(session, message)
          if (all.length > 0) return later(5, some)
          session.follows.add(fields[0] ?? "")
          this.answers(session, "ENDSYNC")
        }
        some()
      }
    },
    "sync/5.6/nothing-between"
  ),
  mutant(
    "leaves out of an answer what is stored while it is given",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages.filter((_, index) => index % 10 !== 5))
      }
    },
    "sync/5.1/while-others-send",
    "sync/5.1/all"
  ),

  // Bytes
  mutant(
    "takes a packet for a line",
    class extends Plain {
      override takes(session: Session, chunk: Buffer) {
        for (const line of chunk.toString("latin1").split("\n").slice(0, -1)) {
          this.hearsBytes(session, Buffer.from(line, "latin1"))
        }
      }
    },
    "framing/1.6/every-cut",
    "framing/1.6/one-byte-writes",
    "framing/1.6/cut-connect",
    "framing/1.6/line-and-a-half",
    "framing/1.2/split"
  ),
  mutant(
    "hears only the first line of a packet",
    class extends Plain {
      override takes(session: Session, chunk: Buffer) {
        super.takes(session, chunk.subarray(0, chunk.indexOf(10) + 1 || undefined))
      }
    },
    "framing/1.6/merged",
    "framing/3.6/pipelined"
  ),
  mutant(
    "ends its lines with CR LF",
    class extends Plain {
      override says(session: Session, line: string) {
        super.says(session, `${line}\r`)
      }
    },
    "framing/1.1/lf"
  ),
  mutant(
    "ends lines at CR too",
    class extends Plain {
      override hearsBytes(session: Session, line: Buffer) {
        const parts = line.toString("latin1").split("\r")
        for (const part of parts) super.hearsBytes(session, Buffer.from(part, "latin1"))
      }
    },
    "framing/1.1/bare-cr"
  ),
  mutant(
    "keeps the CR before an LF",
    class extends Plain {
      override withoutCr(line: Buffer) {
        return line
      }
    },
    "framing/1.1/cr-lf",
    "framing/1.1/cr-and-lf-apart"
  ),
  mutant(
    "drops all CRs",
    class extends Plain {
      override withoutCr(line: Buffer) {
        return Buffer.from(line.filter((byte) => byte !== 13))
      }
    },
    "framing/1.1/bare-cr"
  ),
  mutant(
    "ends a message at what Unicode calls the end of a line",
    class extends Plain {
      override messageOf(words: ReadonlyArray<string>) {
        return super.messageOf(words).split(/[\u0085\u2028\u2029]/)[0] ?? ""
      }
    },
    "framing/1.1/no-injection"
  ),
  mutant(
    "repairs bad UTF-8 into U+FFFD",
    class extends Plain {
      override textOf(line: Buffer) {
        return line.toString()
      }
    },
    "framing/1.2/bad-utf8"
  ),
  mutant(
    "takes bytes for Latin-1",
    class extends Plain {
      override textOf(line: Buffer) {
        return line.toString("latin1")
      }
    },
    "framing/1.2/bad-utf8"
  ),
  mutant(
    "drops a byte order mark",
    class extends Plain {
      override textOf(line: Buffer) {
        return super.textOf(line)?.replace(/^\ufeff/, "")
      }
    },
    "framing/1.2/bom"
  ),
  mutant(
    "ends a line at NUL",
    class extends Plain {
      override textOf(line: Buffer) {
        return super.textOf(line)?.split("\0")[0]
      }
    },
    "framing/1.2/nul",
    "send/4.3/control"
  ),
  mutant(
    "takes lines of 1,000 bytes at most",
    class extends Plain {
      override hearsBytes(session: Session, line: Buffer) {
        if (line.length > 1000) this.declines(session, "line_too_long")
        else super.hearsBytes(session, line)
      }
    },
    "framing/1.4/longest"
  ),
  mutant(
    "cuts long lines short instead of declining them",
    class extends Plain {
      override hearsBytes(session: Session, line: Buffer) {
        super.hearsBytes(session, line.subarray(0, 8192))
      }
      override takes(session: Session, chunk: Buffer) {
        const { declines } = this
        this.declines = () => {}
        if (session.rest.length + chunk.length <= 8193) this.declines = declines
        super.takes(session, chunk)
        this.declines = declines
      }
    },
    "framing/1.4/too-long"
  ),
  mutant(
    "loses what comes in one packet with the beginning of a long line",
    class extends Plain {
      override takes(session: Session, chunk: Buffer) {
        const isLong = chunk.length - chunk.lastIndexOf(10) > 8193 && !session.isTooLong
        super.takes(session, isLong ? chunk.subarray(chunk.lastIndexOf(10) + 1) : chunk)
      }
    },
    "framing/1.4/merged"
  ),
  mutant(
    "declines a long line more than once",
    class extends Plain {
      override takes(session: Session, chunk: Buffer) {
        if (session.isTooLong) this.says(session, "DECLINE line_too_long")
        super.takes(session, chunk)
      }
    },
    "framing/1.4/much-too-long"
  ),
  mutant(
    "closes the connection at a long line",
    class extends Plain {
      override declines(session: Session, reason: string) {
        super.declines(session, reason)
        if (reason === "line_too_long") session.socket.destroySoon()
      }
    },
    "framing/1.4/too-long",
    "framing/1.4/endless"
  ),
  mutant(
    "counts characters of lines, not bytes",
    class extends Plain {
      override hearsBytes(session: Session, line: Buffer) {
        if (line.length === 8193 && line.toString().length < 8193) this.hears(session, line.toString())
        else super.hearsBytes(session, line)
      }
    },
    "framing/1.4/bytes"
  ),
  mutant(
    "says not_logged_in of a line that is too long, before a login",
    class extends Plain {
      override declines(session: Session, reason: string) {
        const isTooLong = session.name === undefined && reason === "line_too_long"
        super.declines(session, isTooLong ? "not_logged_in" : reason)
      }
    },
    "framing/1.4/before-login"
  ),
  mutant(
    "carries out what is not ended when the connection is",
    class extends Plain {
      override ends(session: Session) {
        if (session.rest.length > 0) this.hearsBytes(session, session.rest)
        super.ends(session)
      }
    },
    "framing/1.5/not-ended",
    "framing/1.5/cut-at-every-byte"
  ),
  mutant(
    "drops the last line when a client half-closes",
    class extends Plain {
      override takes(session: Session, chunk: Buffer) {
        later(200, () => super.takes(session, chunk))
      }
      override ends(session: Session) {
        session.socket.destroy()
      }
    },
    "framing/1.7/half-close"
  ),
  mutant(
    "does not end its side when a client half-closes",
    class extends Plain {
      override ends() {}
    },
    "framing/1.7/half-close-later",
    "framing/1.7/nothing-said"
  ),
  mutant(
    "answers later what takes time, and not at all when a client half-closes",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        if ((this.targets.get(fields[0] ?? "")?.messages.length ?? 0) < 100) super.sync(session, fields)
        else later(300, () => super.sync(session, fields))
      }
    },
    "framing/1.7/many-answers"
  ),
  mutant(
    "answers SYNC later, and what is said meanwhile before it",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        later(1, () => super.sync(session, fields))
      }
    },
    "framing/3.6/pipelined",
    "framing/3.6/sync-and-more"
  ),
  mutant(
    "drops messages for who does not read",
    class extends Plain {
      override tells(session: Session, message: Message) {
        if (session.socket.writableLength < 1 << 16) super.tells(session, message)
      }
    },
    "peers/5.8/slow-reader"
  ),
  mutant(
    "breaks down at bytes that it does not understand",
    class extends Plain {
      override hearsBytes(session: Session, line: Buffer) {
        if (this.textOf(line) === undefined) void this.stop(false)
        else super.hearsBytes(session, line)
      }
    },
    "peers/3.3/garbage"
  ),
  mutant(
    "takes the request of a browser for something to wait for",
    class extends Plain {
      override hears(session: Session, line: string) {
        if (!line.startsWith("GET ") && line !== "") super.hears(session, line)
      }
    },
    "peers/3.3/http"
  ),
  mutant(
    "serves nobody while somebody is silent",
    class extends Plain {
      override loginTime = 60_000
      override hearsBytes(session: Session, line: Buffer) {
        const isAnySilent = [...this.sessions].filter(({ name }) => name === undefined).length > 20
        if (!isAnySilent) super.hearsBytes(session, line)
      }
    },
    "peers/5.8/silent"
  ),
  mutant(
    "keeps the names of forty connections that broke",
    class extends Plain {
      #resets = 0
      override comes(socket: Session["socket"]) {
        super.comes(socket)
        socket.once("error", () => this.#resets++)
      }
      override isInUse(name: string) {
        return this.#resets > 5 || super.isInUse(name)
      }
    },
    "peers/5.8/resets"
  ),
  mutant(
    "serves nobody while somebody does not read",
    class extends Plain {
      override hearsBytes(session: Session, line: Buffer) {
        if (![...this.sessions].some(({ socket }) => socket.writableLength > 1 << 20)) super.hearsBytes(session, line)
      }
    },
    "peers/5.8/never-reads"
  ),

  // What an administrator does
  mutant(
    "lets in whom an administrator has locked out",
    class extends Plain {
      override refusal(session: Session, name: string) {
        this.locked.delete(name)
        return super.refusal(session, name)
      }
    },
    "connect/3.2/account-locked"
  ),
  mutant(
    "locks everybody when it is told to lock one",
    class extends Plain {
      override refusal(session: Session, name: string) {
        return this.locked.size > 0 ? "account_locked" : super.refusal(session, name)
      }
    },
    "connect/3.2/others-are-not-locked"
  ),
  mutant(
    "keeps an account locked for ever",
    class extends Plain {
      override control(verb: string, name: string, ...rest: ReadonlyArray<string>) {
        return verb === "unlock" || super.control(verb, name, ...rest)
      }
    },
    "connect/3.2/unlocked"
  ),
  mutant(
    "leaves who is locked where they are",
    class extends Plain {
      override throwsOut() {}
    },
    "connect/3.2/locked-while-there"
  ),
  mutant(
    "throws away the messages of who is locked",
    class extends Plain {
      override stores(session: Session, target: string, sender: string, text: string) {
        if (!this.locked.has(target)) super.stores(session, target, sender, text)
      }
    },
    "connect/3.2/lock-keeps-messages"
  ),
  mutant(
    "says account_locked where the address is wrong",
    class extends Plain {
      override declines(session: Session, reason: string) {
        super.declines(session, reason === "ip_invalid" ? "account_locked" : reason)
      }
    },
    "connect/3.2/ip-invalid"
  ),
  mutant(
    "takes no address for one of the account's own",
    class extends Plain {
      override refusal(session: Session, name: string) {
        return this.allowed.has(name) ? "ip_invalid" : super.refusal(session, name)
      }
    },
    "connect/3.2/ip-valid"
  ),
  mutant(
    "lets everybody send to a group that is not for them",
    class extends Plain {
      override send(session: Session, fields: ReadonlyArray<string>, isResend: boolean) {
        this.members.delete(fields[0] ?? "")
        super.send(session, fields, isResend)
      }
    },
    "send/3.4/forbidden"
  ),
  mutant(
    "declines a message to a group that is not for its sender, and stores it all the same",
    class extends Plain {
      override mayUse(name: string, group: string) {
        const may = super.mayUse(name, group)
        if (!may) this.target(group).messages.push({ target: group, sender: name, time: Date.now(), text: "psst" })
        return may
      }
    },
    "send/3.4/forbidden"
  ),
  mutant(
    "follows a group for whom it is not, and was told so",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        super.sync(session, fields)
        if (session.name !== undefined) session.follows.add(fields[0] ?? session.name)
      }
    },
    "sync/3.4/forbidden"
  ),
  mutant(
    "knows one member of a group at most",
    class extends Plain {
      override mayUse(name: string, group: string) {
        return (this.members.get(group)?.[0] ?? name) === name
      }
    },
    "send/3.4/members"
  ),
  mutant(
    "takes who is no member of one group for one of none",
    class extends Plain {
      override mayUse(name: string) {
        return [...this.members.values()].every((members) => members.includes(name))
      }
    },
    "send/3.4/other-groups"
  ),
  mutant(
    "announces with a timestamp",
    class extends Plain {
      override announcement(text: string) {
        return `MSG system system ${Date.now()} ${text}`
      }
    },
    "msg/5.9/announcement"
  ),
  mutant(
    "ends without a word who does not log in",
    class extends Plain {
      override tires(session: Session) {
        session.socket.destroySoon()
      }
    },
    "decline/3.4/login-timeout"
  ),

  // What it has cause to decline
  mutant(
    "says later instead of why it does not carry out a SEND",
    class extends Plain {
      override hindrance(session: Session, target: string) {
        return super.hindrance(session, target) === undefined ? undefined : "later"
      }
    },
    "send/3.4/rate-limited",
    "send/3.4/storage-unavailable",
    "send/2.3/unknown-target"
  ),
  mutant(
    "stores what it declines",
    class extends Plain {
      override hindrance(session: Session, target: string) {
        const why = super.hindrance(session, target)
        if (why !== undefined) this.stores(session, target, session.name ?? "", "all the same")
        return why
      }
    },
    "send/3.4/rate-limited",
    "send/3.4/storage-unavailable",
    "send/2.3/unknown-target"
  ),
  mutant(
    "answers nothing as long as it cannot store anything",
    class extends Plain {
      override declines(session: Session, reason: string) {
        if (reason !== "storage_unavailable") super.declines(session, reason)
      }
    },
    "send/3.4/storage-unavailable"
  ),
  mutant(
    "acknowledges what it cannot store",
    class extends Plain {
      override hindrance(session: Session, target: string) {
        const why = super.hindrance(session, target)
        return why === "storage_unavailable" ? undefined : why
      }
      override stores(session: Session, target: string, sender: string, text: string) {
        if (!this.refuses.has("storage_unavailable")) super.stores(session, target, sender, text)
      }
    },
    "send/3.4/storage-unavailable"
  ),
  mutant(
    "closes the connection when something is too much, or cannot be stored",
    class extends Plain {
      override declines(session: Session, reason: string) {
        super.declines(session, reason)
        if (reason === "rate_limited" || reason === "storage_unavailable") session.socket.destroySoon()
      }
    },
    "send/3.5/rate-limited",
    "send/3.5/storage-unavailable"
  ),
  mutant("finds that too much for ever which was so once", Stubborn, "send/3.5/rate-limited"),
  mutant("stores nothing any more once it could not", Stubborn, "send/3.5/storage-unavailable"),
  mutant("is full for ever", Stubborn, "connect/3.5/server-full"),
  mutant("lets nobody in any more from where too many came", Stubborn, "connect/3.5/too-many-connections"),
  mutant(
    "takes a SYNC of an unknown group for one of an empty group",
    class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        const isRefused = this.refuses.delete("unknown_target")
        super.sync(session, fields)
        if (isRefused) this.refuses.add("unknown_target")
      }
    },
    "sync/2.3/unknown-target"
  ),
  mutant(
    "knows no users where groups have to be known",
    class extends Plain {
      override isKnown(target: string) {
        return super.isKnown(target) && (!this.refuses.has("unknown_target") || this.members.has(target))
      }
    },
    "send/2.3/known-target"
  ),
  mutant(
    "knows no groups where they have to be known",
    class extends Plain {
      override isKnown(target: string) {
        return super.isKnown(target) && (!this.refuses.has("unknown_target") || !this.members.has(target))
      }
    },
    "send/2.3/known-target"
  ),
  mutant(
    "says only after CONNECT that there is no room",
    class extends Plain {
      override turnsAway(session: Session, why: string) {
        session.socket.once("data", () => super.turnsAway(session, why))
      }
    },
    "connect/3.4/server-full",
    "connect/3.4/too-many-connections"
  ),
  mutant(
    "ends without a word who comes when there is no room",
    class extends Plain {
      override turnsAway(session: Session) {
        session.socket.destroySoon()
      }
    },
    "connect/3.4/server-full",
    "connect/3.4/too-many-connections"
  ),
  mutant(
    "leaves open the connection of whom it has no room for",
    class extends Plain {
      override turnsAway(session: Session, why: string) {
        this.says(session, `DECLINE ${why}`)
        session.socket.resume()
      }
    },
    "connect/3.4/server-full",
    "connect/3.4/too-many-connections"
  ),
  mutant(
    "throws out whoever is there when there is no room for others",
    class extends Plain {
      override turnsAway(session: Session, why: string) {
        super.turnsAway(session, why)
        for (const { socket } of this.sessions) socket.destroySoon()
      }
    },
    "connect/3.5/server-full",
    "connect/3.5/too-many-connections"
  ),
  mutant(
    "ends without a word who is silent",
    class extends Plain {
      override tires(session: Session) {
        session.socket.destroySoon()
      }
    },
    "decline/3.4/idle-timeout"
  ),
  mutant(
    "leaves who is silent where they are",
    class extends Plain {
      override idleTime = 60_000
    },
    "decline/3.4/idle-timeout"
  ),
  mutant(
    "counts the time of silence from the login",
    class extends Plain {
      readonly #counted = new WeakSet<Session>()
      override stirs(session: Session) {
        if (!this.#counted.has(session)) super.stirs(session)
        if (session.name !== undefined) this.#counted.add(session)
      }
    },
    "decline/3.4/not-idle"
  ),

  // Restarts
  mutant(
    "goes down without a word",
    class extends Plain {
      override farewell(session: Session) {
        session.socket.destroySoon()
      }
    },
    "durable/3.5/shutting-down"
  ),
  mutant(
    "keeps nothing on disk",
    class extends Plain {
      override async stop(isOrderly: boolean) {
        await super.stop(isOrderly)
        this.targets.clear()
      }
    },
    "durable/4.1/restart",
    "durable/4.1/kill",
    "durable/4.1/at-once",
    "durable/2.2/kinds"
  ),
  mutant(
    "loses the last messages when it is killed",
    class extends Plain {
      override async stop(isOrderly: boolean) {
        await super.stop(isOrderly)
        if (isOrderly) return
        for (const { messages } of this.targets.values()) messages.splice(-3)
      }
    },
    "durable/4.1/kill",
    "durable/4.1/at-once"
  ),
  mutant(
    "stores its last messages once more when it starts",
    class extends Plain {
      override async stop(isOrderly: boolean) {
        await super.stop(isOrderly)
        for (const { messages } of this.targets.values()) {
          for (const message of messages.slice(-2)) messages.push({ ...message, time: message.time + 1000 })
        }
      }
    },
    "durable/5.5/follower",
    "durable/4.1/restart",
    "durable/4.1/kill"
  ),
  mutant(
    "knows no message again after a restart",
    class extends Plain {
      readonly #known = new Set<string>()
      override answers(session: Session, line: string) {
        // It ends between the store and the ACK, as it may
        const { name = "" } = session
        const isLost = line === "ACK" && !this.#known.has(name) && this.last.get(name)?.message.text === "message 2"
        if (!isLost) super.answers(session, line)
      }
      override async stop(isOrderly: boolean) {
        await super.stop(isOrderly)
        for (const name of this.last.keys()) this.#known.add(name)
        this.last.clear()
      }
    },
    "durable/4.4/resend-after-restart",
    "durable/4.4/resend-after-kill"
  ),
  mutant(
    "begins its time anew when it starts",
    class extends Plain {
      #starts = 0
      override async start() {
        await super.start()
        this.#starts++
      }
      override timeAfter(last: number) {
        return this.#starts === 1 ? super.timeAfter(last) : 1_700_000_000_000
      }
    },
    "durable/4.2/time-goes-on"
  ),
  mutant(
    "forgets who is a user when it is killed",
    class extends Plain {
      override async stop(isOrderly: boolean) {
        await super.stop(isOrderly)
        for (const target of this.targets.values()) target.kind = "open"
      }
    },
    "durable/2.2/kinds",
    "durable/2.2/kinds-after-kill"
  ),
  mutant(
    "keeps the names of those who were there when it was killed",
    class extends Plain {
      readonly #stale = new Set<string>()
      override async stop(isOrderly: boolean) {
        for (const { name } of this.sessions) if (name !== undefined) this.#stale.add(name)
        await super.stop(isOrderly)
      }
      override isInUse(name: string) {
        return this.#stale.has(name) || super.isInUse(name)
      }
    },
    "durable/3.2/names"
  ),

  // Load
  mutant(
    "takes a hundred connections",
    class extends Plain {
      override hearsBytes(session: Session, line: Buffer) {
        if (this.sessions.size < 100) super.hearsBytes(session, line)
      }
    },
    "load/3.2/connections"
  ),
  mutant(
    "loses one message in a thousand",
    class extends Plain {
      #count = 0
      override stores(session: Session, target: string, sender: string, text: string) {
        if (++this.#count % 1000 !== 0) super.stores(session, target, sender, text)
      }
    },
    "load/5.1/messages"
  ),
  mutant(
    "tells ten followers at most",
    class extends Plain {
      override isFor(message: Message, session: Session) {
        return super.isFor(message, session) && [...this.sessions].indexOf(session) < 10
      }
    },
    "load/5.5/fan-out"
  ),
  mutant(
    "follows fifty groups at most",
    class extends Plain {
      override tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>) {
        super.tellsAll(session, group, messages)
        if (session.follows.size > 50) session.follows.delete(group)
      }
    },
    "load/5.5/many-groups"
  )
]
