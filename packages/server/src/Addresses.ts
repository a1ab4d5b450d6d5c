/**
 * What limits know of the addresses that connections come from: how many sessions each has, how fast it connects, and how
 * often it is refused a login. An address of IPv6 counts with the others of its /64, since that is what one customer has.
 *
 * It is bounded: addresses with a session are as many as there are sessions; others are forgotten when they say nothing
 * any more, or when there are too many of them.
 */
import { Duration, Result } from "effect"
import { IpNetwork, NetAddress } from "effect/net"
import type { Settings } from "./ServerConfig.ts"
import { TokenBucket } from "./TokenBucket.ts"

/** Milliseconds after which each bucket of an address is full again. */
const minute = 60_000

/** How long it takes until who is too much hears so: it would come again at once, and as fast as it can. */
export const holdOff = Duration.millis(500)

/** Addresses without a session that are remembered; when there are more, an eighth of them is forgotten. */
const maxRecent = 65_536

/** Addresses that need not be read again. */
const maxNames = 1024

type Limits = Pick<Settings, "exempt" | "maxConnects" | "maxFailedLogins">

export class Addresses {
  readonly limits: Limits
  readonly now: () => number
  readonly #here = new Map<string, Address>()
  readonly #recent = new Map<string, Address>() // without a session, longest ago first
  readonly #names = new Map<string, string | undefined>() // of those that have come lately
  #exempt: Limits["exempt"] // when these were named

  /** @param now milliseconds on a clock that nobody sets */
  constructor(limits: Limits, now: () => number) {
    this.limits = limits
    this.now = now
    this.#exempt = limits.exempt
  }

  /** What a connection from there is limited by; undefined if that is exempt, or on no network. */
  of(remote: string | undefined): Address | undefined {
    const name = remote === undefined ? undefined : this.#nameOf(remote)
    if (name === undefined) return undefined
    return this.#here.get(name) ?? this.#recent.get(name) ?? new Address(name, this)
  }

  /** To read an address takes longer than all else here. */
  #nameOf(remote: string): string | undefined {
    const { exempt } = this.limits
    const names = this.#names
    if (this.#exempt !== exempt || names.size >= maxNames) {
      this.#exempt = exempt
      names.clear()
    }
    const known = names.get(remote)
    if (known !== undefined || names.has(remote)) return known
    const name = nameOf(remote, exempt)
    names.set(remote, name)
    return name
  }

  /** It has come, or a session of it has; or the last one has gone. */
  remember(address: Address): void {
    const { name, sessions } = address
    this.#recent.delete(name)
    if (sessions > 0) {
      this.#here.set(name, address)
      return
    }
    this.#here.delete(name)
    this.#recent.set(name, address)
    if (this.#recent.size <= maxRecent) return
    for (const name of this.#recent.keys()) {
      if (this.#recent.size <= maxRecent * 7 / 8) break
      this.#recent.delete(name)
    }
  }

  /** Forgets those who say nothing any more. */
  forget(): void {
    const now = this.now()
    for (const [name, { touchedAt }] of this.#recent) {
      if (now - touchedAt < minute) break
      this.#recent.delete(name)
    }
  }

  /** How many are remembered. */
  get size(): number {
    return this.#here.size + this.#recent.size
  }
}

/** One address, or one /64. */
export class Address {
  readonly name: string
  sessions = 0
  /** When something of it changed last. */
  touchedAt: number
  readonly #all: Addresses
  readonly #connects: TokenBucket
  readonly #failedLogins: TokenBucket

  constructor(name: string, all: Addresses) {
    const { maxConnects, maxFailedLogins } = all.limits
    this.name = name
    this.#all = all
    this.touchedAt = all.now()
    this.#connects = new TokenBucket(maxConnects, this.touchedAt)
    this.#failedLogins = new TokenBucket(maxFailedLogins, this.touchedAt)
  }

  /** A connection has come from there; false if there were too many in this minute. */
  connects(): boolean {
    const { maxConnects } = this.#all.limits
    this.#touch()
    this.#connects.fill(maxConnects / 60, maxConnects, this.touchedAt)
    return this.#connects.take(1)
  }

  /** One of them has become a session. */
  enters(): void {
    this.sessions++
    this.#touch()
  }

  /** One of its sessions has ended. */
  leaves(): void {
    this.sessions--
    this.#touch()
  }

  /** Whether there may be a login: not too many were refused in this minute. */
  mayLogIn(): boolean {
    const { maxFailedLogins } = this.#all.limits
    this.#failedLogins.fill(maxFailedLogins / 60, maxFailedLogins, this.#all.now())
    return this.#failedLogins.has(1)
  }

  /** One was refused. */
  failsToLogIn(): void {
    this.#touch()
    this.#failedLogins.take(1)
  }

  #touch(): void {
    this.touchedAt = this.#all.now()
    this.#all.remember(this)
  }
}

/** How limits call it; undefined if it is exempt. */
const nameOf = (remote: string, exempt: Limits["exempt"]): string | undefined => {
  const parsed = NetAddress.ipFromString(remote.split("%", 1)[0] ?? "")
  if (Result.isFailure(parsed)) return remote
  const ip = NetAddress.toCanonical(parsed.success)
  if (exempt.some((network) => IpNetwork.contains(network, ip))) return undefined
  if (NetAddress.isIpv4Address(ip)) return NetAddress.formatIp(ip)
  return IpNetwork.format(IpNetwork.fromAddressUnsafe(ip, 64))
}
