/** Ranges of addresses, against the plainest way to look at them: as strings of bits. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import { IpNetwork, NetAddress } from "effect/net"
import * as IpRange from "../src/IpRange.ts"

const range = (text: string) => Result.getOrThrowWith(IpRange.parse(text), (why) => new Error(why))
const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))
const bytes = (length: number) => Arbitrary.array(int(0, 255), { minLength: length, maxLength: length })

const textOf = (bytes: ReadonlyArray<number>): string =>
  NetAddress.formatIp(
    bytes.length === 4
      ? NetAddress.ipv4FromBytesUnsafe(Uint8Array.from(bytes))
      : NetAddress.ipv6FromBytesUnsafe(Uint8Array.from(bytes))
  )
const bitsOf = (bytes: ReadonlyArray<number>): string => bytes.map((byte) => byte.toString(2).padStart(8, "0")).join("")

/** Other bytes with the first so many bits of these. */
const near = (base: ReadonlyArray<number>, other: ReadonlyArray<number>, length: number): ReadonlyArray<number> => {
  const bits = bitsOf(base).slice(0, length) + bitsOf(other).slice(length)
  return base.map((_, index) => Number.parseInt(bits.slice(8 * index, 8 * index + 8), 2))
}

const many = { arbitrary: { runs: 500 } }

describe("IpRange", () => {
  for (const [family, length] of [["IPv4", 4], ["IPv6", 16]] as const) {
    const [address, bits] = [bytes(length), int(0, 8 * length)]

    it.prop(
      `has the addresses with its first bits, and no others (${family})`,
      [address, address, bits, bits],
      ([base, other, prefix, shared]) => {
        const candidate = near(base, other, shared)
        const expected = bitsOf(base).slice(0, prefix) === bitsOf(candidate).slice(0, prefix)
        assert.strictEqual(IpRange.includes([range(`${textOf(base)}/${prefix}`)], textOf(candidate)), expected)
      },
      many
    )

    it.prop(`is its text again (${family})`, [address, bits], ([base, prefix]) => {
      const parsed = range(`${textOf(base)}/${prefix}`)
      assert.deepStrictEqual(range(IpRange.format(parsed)), parsed)
    }, many)

    it.prop(`of one address needs no length (${family})`, [address], ([base]) => {
      const text = textOf(base)
      const canonical = IpRange.format(range(text))
      assert.isFalse(canonical.includes("/"))
      assert.deepStrictEqual(range(text), range(`${text}/${8 * length}`))
      assert.isTrue(IpRange.includes([range(text)], text))
    }, many)
  }

  it.prop("is the same for IPv4 in the form of IPv6", [bytes(4), bytes(4), int(0, 32)], ([base, other, prefix]) => {
    const mapped = (bytes: ReadonlyArray<number>) => `::ffff:${textOf(bytes)}`
    const [plain, long] = [range(`${textOf(base)}/${prefix}`), range(`${mapped(base)}/${96 + prefix}`)]
    assert.deepStrictEqual(long, plain)
    for (const candidate of [other, near(base, other, prefix)]) {
      assert.strictEqual(
        IpRange.includes([plain], mapped(candidate)),
        IpNetwork.contains(plain, NetAddress.ipv4FromBytesUnsafe(Uint8Array.from(candidate)))
      )
    }
  }, many)

  it("keeps the families apart", () => {
    assert.isFalse(IpRange.includes([range("::/0")], "10.0.0.1"))
    assert.isFalse(IpRange.includes([range("0.0.0.0/0")], "::1"))
    assert.isTrue(IpRange.includes([range("::/0"), range("0.0.0.0/0")], "10.0.0.1"))
  })

  it("takes an address with its interface, as a socket shows it", () => {
    assert.isTrue(IpRange.includes([range("fe80::/10")], "fe80::1%eth0"))
  })

  it("refuses IPv4 in the form of IPv6 with a length that leaves no IPv4, and says what to write", () => {
    for (const text of ["::ffff:1.2.3.4/95", "::ffff:1.2.3.4/0", "::ffff:102:304/80"]) {
      assert.deepStrictEqual(
        IpRange.parse(text),
        Result.fail(
          `"${text}" is no range of addresses: IPv4 in the form of IPv6 begins behind 96 bits; expected /96 to /128, or a range of IPv4 such as 10.0.0.0/8`
        )
      )
    }
    assert.deepStrictEqual(range("::ffff:1.2.3.4/96"), range("0.0.0.0/0"))
  })

  it("refuses what is none, and says what one looks like", () => {
    const wrong = [
      "",
      "x",
      "10.0.0.0/33",
      "::/129",
      "10.0.0/8",
      "10.0.0.0/",
      "10.0.0.0/08",
      "fe80::1%eth0",
      " ::1",
      "1.2.3.4 "
    ]
    for (const text of wrong) {
      assert.deepStrictEqual(
        IpRange.parse(text),
        Result.fail(`"${text}" is no range of addresses; expected one such as 10.0.0.0/8, fd00::/8 or 192.0.2.7`)
      )
    }
  })
})
