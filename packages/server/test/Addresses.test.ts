import { assert, describe, it } from "@effect/vitest"
import { IpNetwork } from "effect/net"
import { Addresses } from "../src/Addresses.ts"

const network = IpNetwork.fromStringUnsafe

const make = (exempt: ReadonlyArray<IpNetwork.IpNetwork> = []) => {
  const limits = { exempt, maxConnects: 60, maxFailedLogins: 3 }
  const time = { now: 0 }
  return { addresses: new Addresses(limits, () => time.now), limits, time }
}

const nameOf = (addresses: Addresses, remote: string) => addresses.of(remote)?.name

describe("Addresses", () => {
  it("counts IPv4 by itself, also where it comes as IPv6, and IPv6 by its /64", () => {
    const { addresses } = make()
    assert.strictEqual(nameOf(addresses, "10.1.2.3"), "10.1.2.3")
    assert.strictEqual(nameOf(addresses, "::ffff:10.1.2.3"), "10.1.2.3")
    assert.strictEqual(nameOf(addresses, "::ffff:a01:203"), "10.1.2.3")
    assert.strictEqual(nameOf(addresses, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64")
    assert.strictEqual(nameOf(addresses, "2001:db8:1:2::1"), "2001:db8:1:2::/64")
    assert.strictEqual(nameOf(addresses, "2001:db8:1:3::1"), "2001:db8:1:3::/64")
    assert.strictEqual(nameOf(addresses, "fe80::1%eth0"), "fe80::/64")
  })

  it("knows those that are exempt, whatever they look like", () => {
    const { addresses } = make([network("127.0.0.0/8"), network("::1/128"), network("fd00::/8")])
    for (const remote of ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "::1", "fd12::1"]) {
      assert.isUndefined(addresses.of(remote), remote)
    }
    assert.isUndefined(addresses.of(undefined))
    assert.isDefined(addresses.of("::2"))
    assert.isDefined(addresses.of("128.0.0.1"))
  })

  it("lets so many connections come in a minute, and then one each time there is room again", () => {
    const { addresses, limits, time } = make()
    const connect = () => addresses.of("10.0.0.1")?.connects()
    for (let i = 0; i < 60; i++) assert.isTrue(connect())
    assert.isFalse(connect())
    assert.isTrue(addresses.of("10.0.0.2")?.connects())
    time.now += 999
    assert.isFalse(connect())
    time.now += 1
    assert.isTrue(connect())
    assert.isFalse(connect())
    limits.maxConnects = 600 // a reload
    time.now += 1000
    for (let i = 0; i < 10; i++) assert.isTrue(connect())
    assert.isFalse(connect())
  })

  it("lets nobody log in from where too many were refused, for a while", () => {
    const { addresses, time } = make()
    const address = addresses.of("10.0.0.1")
    for (let i = 0; i < 3; i++) {
      assert.isTrue(address?.mayLogIn())
      address?.failsToLogIn()
    }
    assert.isFalse(address?.mayLogIn())
    assert.isFalse(addresses.of("10.0.0.1")?.mayLogIn())
    time.now += 20_000
    assert.isTrue(address?.mayLogIn())
  })

  it("remembers who is there for as long as they are, and others for a minute", () => {
    const { addresses, time } = make()
    const there = addresses.of("10.0.0.1")
    there?.connects()
    there?.enters()
    there?.enters()
    addresses.of("10.0.0.2")?.connects()
    addresses.of("10.0.0.3")
    assert.strictEqual(addresses.size, 2)
    time.now += 59_999
    addresses.forget()
    assert.strictEqual(addresses.size, 2)
    time.now += 1
    addresses.forget()
    assert.strictEqual(addresses.size, 1)
    there?.leaves()
    assert.strictEqual(addresses.of("10.0.0.1")?.sessions, 1)
    there?.leaves()
    assert.strictEqual(addresses.of("10.0.0.1")?.sessions, 0)
    time.now += 60_000
    addresses.forget()
    assert.strictEqual(addresses.size, 0)
  })

  it("does not grow with the addresses that somebody has, and does not forget who is there for them", () => {
    const { addresses } = make()
    const there = addresses.of("10.0.0.1")
    there?.enters()
    for (let i = 0; i < 70_000; i++) {
      addresses.of(`2001:db8:${(i >> 16).toString(16)}:${(i & 65_535).toString(16)}::1`)?.connects()
    }
    assert.isAtMost(addresses.size, 65_537)
    assert.isAtLeast(addresses.size, 57_344)
    assert.strictEqual(addresses.of("10.0.0.1"), there)
  })
})
