/**
 * How fast a session may go: commands and bytes in a second, new names in an hour. Who is faster is slowed down, by not
 * being read on: backpressure. That is enough for whoever waits for answers, as a client must (CPT 6.2). Who pushes on for
 * long all the same is refused.
 */
import type { Services } from "./Services.ts"
import { TokenBucket } from "./TokenBucket.ts"
import { uptime } from "./Uptime.ts"

/** Milliseconds for which a session may push on; then what it says too early is refused. */
const patience = 10_000

/** In how many portions a second is cut for who has to wait: few wake-ups, and no bursts. */
const portions = 10

const hour = 3600

/** SENDs in one go of whoever has just brought so many names into use, and as how many others each counts: they take longer. */
const naming = { portion: 32, names: 8, weight: 8 }

export class Pace {
  readonly #services: Pick<Services, "clock" | "config">
  readonly #commands: TokenBucket
  readonly #bytes: TokenBucket
  #names: TokenBucket | undefined
  #isNaming = false
  #pushesSince: number | undefined
  #isOff = false

  constructor(services: Pick<Services, "clock" | "config">) {
    const { byteLimit, rateBurst } = services.config
    const now = uptime(services.clock)
    this.#services = services
    this.#commands = new TokenBucket(rateBurst, now)
    this.#bytes = new TokenBucket(byteLimit, now)
  }

  /** So many bytes have come. Gives for how many milliseconds nothing more should. */
  hearBytes(count: number): number {
    const { byteLimit, rateLimit } = this.#services.config
    if (rateLimit === Infinity && byteLimit === Infinity) return 0
    this.#fill()
    this.#bytes.owe(count)
    return this.#bytes.wait(0, byteLimit)
  }

  /** The same, later. */
  get bytesWait(): number {
    if (this.#isOff) return 0
    this.#fill()
    return this.#bytes.wait(0, this.#services.config.byteLimit)
  }

  /** So many commands are to be carried out; of those that have come in one go there are others. */
  hearCommands(count: number, areMore: boolean): void {
    const { clock, config } = this.#services
    // Who says one at a time, or what is due at once, does not push
    if (!areMore && count === 1 || config.rateLimit === Infinity || this.#commands.has(count)) {
      this.#pushesSince = undefined
    } else this.#pushesSince ??= uptime(clock)
  }

  /** Whether so many of them may be carried out now; they count. */
  takes(count: number): boolean {
    if (this.#isOff || this.#services.config.rateLimit === Infinity) return true
    if (!this.#commands.has(this.#due(count))) return false
    this.#commands.owe(count)
    return true
  }

  /** Milliseconds until they may. */
  wait(count: number): number {
    if (this.#isOff) return 0
    this.#fill()
    return this.#commands.wait(this.#due(count), this.#services.config.rateLimit)
  }

  /** A reload may have made the burst smaller than what waits already: then that is due when the bucket is full. */
  #due(count: number): number {
    return Math.min(count, this.#services.config.rateBurst)
  }

  /** How many of so many are due in one go, or make sense to wait for. */
  portion(most: number): number {
    const { rateBurst, rateLimit } = this.#services.config
    const isDue = this.#isOff || rateLimit === Infinity || this.#commands.has(most)
    const portion = isDue ? most : Math.max(1, Math.min(most, rateBurst, Math.floor(rateLimit / portions)))
    if (!this.mayName(portion)) return 1
    return this.#isNaming ? Math.min(portion, naming.portion) : portion
  }

  /** As how many SENDs so many count in a turn. */
  weigh(count: number): number {
    return this.#isNaming ? naming.weight * count : count
  }

  /** It has pushed for so long that what is too early is refused. */
  get isFlood(): boolean {
    return this.#pushesSince !== undefined && uptime(this.#services.clock) - this.#pushesSince >= patience
  }

  /** Nothing is too early any more: the server stops, and what has come is answered. */
  end(): void {
    this.#isOff = true
  }

  /** Whether so many names may come into use by this session. */
  mayName(count: number): boolean {
    if (this.#names === undefined) return count <= this.#services.config.maxNewNames
    if (this.#names.has(count)) return true
    this.#fillNames()
    return this.#names.has(count)
  }

  /** There are other settings: the burst of names may be smaller. The others are looked at with each read. */
  reconfigure(): void {
    this.#fillNames()
  }

  /** So many have. */
  name(count: number): void {
    this.#isNaming = count >= naming.names
    if (count === 0) return
    const { clock, config } = this.#services
    this.#names ??= new TokenBucket(config.maxNewNames, uptime(clock))
    this.#names.owe(count)
  }

  #fillNames(): void {
    const { clock, config } = this.#services
    this.#names?.fill(config.maxNewNames / hour, config.maxNewNames, uptime(clock))
  }

  #fill(): void {
    const { clock, config } = this.#services
    const now = uptime(clock)
    this.#commands.fill(config.rateLimit, config.rateBurst, now)
    this.#bytes.fill(config.byteLimit, config.byteLimit, now)
  }
}
