/**
 * A server as the specification and its reading have it, in memory, for tests of the kit and for nothing else. It is
 * plain on purpose: one method for each thing that a server decides, so that a wrong server is one of them changed
 * (`Mutants`). What it keeps outlives `stop` and `start`, as on a disk.
 */
import { Buffer } from "node:buffer"
import { once } from "node:events"
import { BlockList, createServer, type Server, type Socket } from "node:net"

export interface Message {
  readonly target: string
  readonly sender: string
  readonly time: number
  readonly text: string
}

/** What a name is, and what was sent to it. */
interface Target {
  kind: "open" | "user" | "group"
  readonly messages: Array<Message>
}

/** The last message of somebody, as far as they may send it again. */
interface Last {
  readonly message: Message
  /** By whom it was acknowledged; undefined after a crash. */
  readonly session: Session | undefined
}

export interface Session {
  readonly socket: Socket
  name: string | undefined
  readonly follows: Set<string>
  /** Bytes that no LF has come for. */
  rest: Buffer
  /** The line that they belong to has been declined already. */
  isTooLong: boolean
  refused: number
  declined: number
  /** SENDs since it came. */
  sent: number
  timer: NodeJS.Timeout | undefined
}

const maxLine = 8192
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

export class Plain {
  readonly targets = new Map<string, Target>()
  readonly last = new Map<string, Last>()
  readonly sessions = new Set<Session>()
  readonly locked = new Set<string>()
  readonly allowed = new Map<string, BlockList>()
  readonly members = new Map<string, ReadonlyArray<string>>()
  /** Reasons to decline that an administrator has set it up for. */
  readonly refuses = new Set<string>()
  port = 0
  #server: Server | undefined

  async start(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.comes(socket))
    this.#server = server.listen(this.port, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    this.port = typeof address === "object" ? address?.port ?? 0 : 0
  }

  /** In good order, or as if the power went. */
  async stop(isOrderly: boolean): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    server.close()
    for (const session of this.sessions) {
      if (isOrderly) this.farewell(session)
      else session.socket.resetAndDestroy()
    }
    await once(server, "close")
    for (const [name, { message }] of this.last) this.last.set(name, { message, session: undefined })
  }

  farewell(session: Session): void {
    this.says(session, "DECLINE shutting_down")
    session.socket.destroySoon()
  }

  /** What an administrator does. */
  control(verb: string, name: string, ...rest: ReadonlyArray<string>): boolean {
    switch (verb) {
      case "lock":
        this.locked.add(name)
        for (const session of this.sessions) if (session.name === name) this.throwsOut(session)
        return true
      case "unlock":
        this.locked.delete(name)
        return true
      case "allow-ip": {
        const list = new BlockList()
        for (const range of rest) {
          const [address = "", bits] = range.split("/")
          list.addSubnet(address, Number(bits), address.includes(":") ? "ipv6" : "ipv4")
        }
        this.allowed.set(name, list)
        return true
      }
      case "members":
        this.members.set(name, rest)
        return true
      case "refuse":
        this.refuses.add(name)
        return true
      case "accept":
        this.refuses.delete(name)
        return true
      case "announce":
        for (const session of this.sessions) if (session.name !== undefined) this.says(session, this.announcement(name))
        return true
      default:
        return false
    }
  }

  announcement(text: string): string {
    return `MSG system system 0 ${text}`
  }

  throwsOut(session: Session): void {
    this.says(session, "DECLINE account_locked")
    session.socket.destroySoon()
  }

  // Connections

  loginTime = 1000
  idleTime = 3000

  /** Why whoever comes now is sent away. */
  crowded(): string | undefined {
    if (this.refuses.has("server_full")) return "server_full"
    return this.refuses.has("too_many_connections") && this.sessions.size >= 9 ? "too_many_connections" : undefined
  }

  comes(socket: Socket): void {
    const session: Session = {
      socket,
      name: undefined,
      follows: new Set(),
      rest: Buffer.alloc(0),
      isTooLong: false,
      refused: 0,
      declined: 0,
      sent: 0,
      timer: undefined
    }
    socket.on("error", () => {})
    socket.on("end", () => this.ends(session))
    const why = this.crowded()
    if (why !== undefined) return this.turnsAway(session, why)
    this.waits(session, this.loginTime, "login_timeout")
    this.sessions.add(session)
    socket.on("data", (chunk) => this.takes(session, chunk))
    socket.on("close", () => this.leaves(session))
  }

  turnsAway(session: Session, why: string): void {
    this.says(session, `DECLINE ${why}`)
    session.socket.resume().end()
  }

  /** Anew: it is to speak in so many milliseconds. In real time, since those who test it are processes of their own. */
  waits(session: Session, millis: number, why: string): void {
    clearTimeout(session.timer)
    session.timer = setTimeout(() => this.tires(session, why), millis)
  }

  tires(session: Session, why: string): void {
    this.says(session, `DECLINE ${why}`)
    session.socket.destroySoon()
  }

  /** It has said something. */
  stirs(session: Session): void {
    if (session.name !== undefined && this.refuses.has("idle_timeout")) {
      this.waits(session, this.idleTime, "idle_timeout")
    }
  }

  /** The peer has no more to say: what it was ACKed, it has seen. */
  ends(session: Session): void {
    this.confirms(session)
    session.socket.end()
  }

  leaves(session: Session): void {
    clearTimeout(session.timer)
    this.sessions.delete(session)
    const { follows, name } = session
    for (const each of name === undefined ? follows : [name, ...follows]) this.forgets(each)
  }

  /** A name without messages is forgotten with the last who bears or follows it. */
  forgets(name: string): void {
    if (this.targets.get(name)?.messages.length !== 0) return
    const isNeeded = [...this.sessions].some((session) => session.name === name || session.follows.has(name))
    if (!isNeeded) this.targets.delete(name)
  }

  // Lines

  takes(session: Session, chunk: Buffer): void {
    session.rest = Buffer.concat([session.rest, chunk])
    for (let at = session.rest.indexOf(10); at !== -1; at = session.rest.indexOf(10)) {
      const line = session.rest.subarray(0, at)
      session.rest = session.rest.subarray(at + 1)
      if (session.isTooLong) session.isTooLong = false
      else this.hearsBytes(session, this.withoutCr(line))
      this.stirs(session)
      if (!session.socket.writable) return
    }
    if (session.isTooLong) session.rest = Buffer.alloc(0)
    else if (session.rest.length > maxLine + 1) {
      session.isTooLong = true
      session.rest = Buffer.alloc(0)
      this.declines(session, "line_too_long")
    }
  }

  withoutCr(line: Buffer): Buffer {
    return line.at(-1) === 13 ? line.subarray(0, -1) : line
  }

  hearsBytes(session: Session, line: Buffer): void {
    if (line.length > maxLine) return this.declines(session, "line_too_long")
    const text = this.textOf(line)
    if (text === undefined) this.declines(session, "invalid_command")
    else this.hears(session, text)
  }

  textOf(line: Buffer): string | undefined {
    try {
      return decoder.decode(line)
    } catch {
      return undefined
    }
  }

  says(session: Session, line: string): void {
    if (session.socket.writable) session.socket.write(`${line}\n`)
  }

  declines(session: Session, reason: string): void {
    this.says(session, `DECLINE ${reason}`)
    session.declined++
    if (reason === "username_taken" || reason === "account_locked" || reason === "ip_invalid") session.refused++
    if (this.hasEnough(session)) session.socket.destroySoon()
  }

  hasEnough({ declined, refused }: Session): boolean {
    return declined === 20 || refused === 3
  }

  answers(session: Session, line: string): void {
    session.declined = 0
    this.says(session, line)
  }

  // Commands

  hears(session: Session, line: string): void {
    const isResend = this.isResend(session, line)
    if (!isResend) this.confirms(session)
    const [word = "", ...fields] = line.split(" ")
    switch (word) {
      case "CONNECT":
        return this.connect(session, fields)
      case "SEND":
        return this.send(session, fields, isResend)
      case "SYNC":
        return this.sync(session, fields)
      case "ACCEPT":
      case "DECLINE":
      case "ACK":
      case "MSG":
      case "ENDSYNC":
        return this.declines(session, "unsupported_command")
      default:
        return this.declines(session, "invalid_command")
    }
  }

  connect(session: Session, [name = "", ...more]: ReadonlyArray<string>): void {
    if (more.length > 0 || !this.isName(name)) return this.declines(session, "invalid_command")
    if (session.name !== undefined) return this.declines(session, "already_logged_in")
    const why = this.refusal(session, name)
    if (why !== undefined) return this.declines(session, why)
    clearTimeout(session.timer)
    session.name = name
    this.target(name).kind = "user"
    this.answers(session, "ACCEPT")
  }

  refusal(session: Session, name: string): string | undefined {
    if (this.isReserved(name) || this.targets.get(name)?.kind === "group") return "username_taken"
    if (this.locked.has(name)) return "account_locked"
    const { remoteAddress = "" } = session.socket
    if (this.allowed.get(name)?.check(remoteAddress) === false) return "ip_invalid"
    return this.isInUse(name) ? "username_taken" : undefined
  }

  isInUse(name: string): boolean {
    return [...this.sessions].some((session) => session.name === name)
  }

  send(session: Session, [target = "", ...words]: ReadonlyArray<string>, isResend: boolean): void {
    const text = this.messageOf(words)
    if (!this.isTarget(target) || !this.isMessage(text)) return this.declines(session, "invalid_command")
    if (session.name === undefined) return this.declines(session, "not_logged_in")
    if (!this.mayUse(session.name, target)) return this.declines(session, "forbidden")
    const why = this.hindrance(session, target)
    if (why !== undefined) return this.declines(session, why)
    if (!isResend) this.stores(session, target, session.name, text)
    this.answers(session, "ACK")
  }

  /** Whether a group is for everybody, or for them. */
  mayUse(name: string, group: string): boolean {
    return this.members.get(group)?.includes(name) ?? true
  }

  /** Why nothing can be sent there now. */
  hindrance(session: Session, target: string): string | undefined {
    session.sent++
    if (this.refuses.has("rate_limited") && session.sent > 5) return "rate_limited"
    if (!this.isKnown(target)) return "unknown_target"
    return this.refuses.has("storage_unavailable") ? "storage_unavailable" : undefined
  }

  isKnown(target: string): boolean {
    return !this.refuses.has("unknown_target") || this.members.has(target) || this.targets.get(target)?.kind === "user"
  }

  messageOf(words: ReadonlyArray<string>): string {
    return words.join(" ")
  }

  stores(session: Session, target: string, sender: string, text: string): void {
    const { messages } = this.target(target)
    const message = { target, sender, time: this.timeAfter(messages.at(-1)?.time ?? 0), text }
    messages.push(message)
    this.last.set(sender, { message, session })
    for (const other of this.sessions) {
      if (this.isFor(message, other) && other.name !== sender) this.tells(other, message)
    }
  }

  timeAfter(last: number): number {
    return Math.max(Date.now(), last + 1)
  }

  isFor({ target }: Message, { follows, name }: Session): boolean {
    return name === target || follows.has(target)
  }

  tells(session: Session, message: Message): void {
    this.says(session, this.line(message))
  }

  line({ sender, target, text, time }: Message): string {
    return `MSG ${target} ${sender} ${time} ${text}`
  }

  /** Whether a line is the last message of its sender again, whose ACK they may not have seen. */
  isResend({ name }: Session, line: string): boolean {
    const last = name === undefined ? undefined : this.last.get(name)
    return last !== undefined && line === `SEND ${last.message.target} ${last.message.text}` && this.isUnconfirmed(last)
  }

  /** Whether its ACK may not have been seen: not if the connection that got it is still there, as they wait for it. */
  isUnconfirmed({ session }: Last): boolean {
    return session === undefined || !this.sessions.has(session)
  }

  /** Who says something more, or has ended in good order, has seen the ACK. */
  confirms(session: Session): void {
    if (session.name !== undefined && this.last.get(session.name)?.session === session) this.last.delete(session.name)
  }

  sync(session: Session, fields: ReadonlyArray<string>): void {
    const isBare = fields.length === 0
    const [group = "", after = ""] = isBare ? [session.name ?? "x", "0"] : fields
    if (fields.length > 2 || !this.isTarget(group) || !this.isTime(after)) {
      return this.declines(session, "invalid_command")
    }
    if (session.name === undefined) return this.declines(session, "not_logged_in")
    if (!this.mayUse(session.name, group)) return this.declines(session, "forbidden")
    if (!this.isKnown(group)) return this.declines(session, "unknown_target")
    if (this.isPrivate(session, group)) {
      this.says(session, `MSG ${group} system 0 private: these messages are for somebody else`)
    } else {
      const target = this.target(group)
      if (group !== session.name) target.kind = "group"
      this.tellsAll(session, group, target.messages.filter(({ time }) => this.isAfter(time, Number(after))))
    }
    this.answers(session, "ENDSYNC")
  }

  isPrivate({ name }: Session, group: string): boolean {
    return group !== name && this.targets.get(group)?.kind === "user"
  }

  tellsAll(session: Session, group: string, messages: ReadonlyArray<Message>): void {
    for (const message of messages) this.tells(session, message)
    if (group !== session.name) session.follows.add(group)
  }

  isAfter(time: number, after: number): boolean {
    return time > after
  }

  target(name: string): Target {
    const known = this.targets.get(name)
    if (known !== undefined) return known
    const target: Target = { kind: "open", messages: [] }
    this.targets.set(name, target)
    return target
  }

  // Fields

  isName(name: string): boolean {
    const bytes = Buffer.byteLength(name)
    return bytes >= 1 && bytes <= 64 && !/[\p{White_Space}\p{C}]/u.test(name) && name === name.normalize("NFC")
  }

  isReserved(name: string): boolean {
    return name.toLowerCase() === "system"
  }

  isTarget(name: string): boolean {
    return this.isName(name) && !this.isReserved(name)
  }

  isTime(text: string): boolean {
    return /^(?:0|[1-9]\d{0,14})$/.test(text)
  }

  isMessage(text: string): boolean {
    return text !== "" && !/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(text)
  }
}
