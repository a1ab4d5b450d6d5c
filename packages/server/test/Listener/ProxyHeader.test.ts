/** Headers as the specification of HAProxy has them, written here a second time, from the sender's side. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Buffer } from "node:buffer"
import { isIP } from "node:net"
import * as ProxyHeader from "../../src/Listener/ProxyHeader.ts"

const many = { arbitrary: { runs: 500 } }

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))
const bytes = (minLength: number, maxLength: number) =>
  Arbitrary.map(Arbitrary.array(int(0, 255), { minLength, maxLength }), (all) => Buffer.from(all))
const port = int(0, 65_535)
const pick = <const A extends string | number>(values: ReadonlyArray<A>) => Arbitrary.schema(Schema.Literals(values))
const oneOf = <A>(...all: ReadonlyArray<Arbitrary.Arbitrary<A>>) =>
  Arbitrary.flatMap(int(0, all.length - 1), (index) => all[index]!)

/** A header, and whom it speaks for. */
interface Case {
  readonly header: Buffer
  readonly client: ProxyHeader.Client | undefined
}

const ipv4 = Arbitrary.map(bytes(4, 4), (octets) => ({ octets, text: octets.join(".") }))

/** One of documentation (2001:db8::/32), so that it stands for no address of IPv4; in the form that Node prints. */
const ipv6 = Arbitrary.map(bytes(12, 12), (rest) => {
  const octets = Buffer.concat([Buffer.from([0x20, 0x01, 0x0d, 0xb8]), rest])
  const groups = Array.from({ length: 8 }, (_, at) => octets.readUInt16BE(2 * at).toString(16))
  return { octets, text: new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1) }
})

const line = (words: string) => Buffer.from(`PROXY ${words}\r\n`)

const ofLine: Arbitrary.Arbitrary<Case> = oneOf<Case>(
  Arbitrary.map(Arbitrary.all([ipv4, ipv4, port, port]), ([from, to, a, b]) => ({
    header: line(`TCP4 ${from.text} ${to.text} ${a} ${b}`),
    client: { address: from.text }
  })),
  Arbitrary.map(Arbitrary.all([ipv6, ipv6, port, port]), ([from, to, a, b]) => ({
    header: line(`TCP6 ${from.text} ${to.text} ${a} ${b}`),
    client: { address: from.text }
  })),
  Arbitrary.map(
    pick(["UNKNOWN", "UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", "UNKNOWN anything"]),
    (words) => ({
      header: line(words),
      client: undefined
    })
  )
)

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex")

const binary = (command: number, protocol: number, ...parts: ReadonlyArray<Uint8Array>) => {
  const rest = Buffer.concat(parts)
  const fixed = Buffer.from([0x20 | command, protocol, rest.length >> 8, rest.length & 255])
  return Buffer.concat([signature, fixed, rest])
}

const two = (n: number) => Buffer.from([n >> 8, n & 255])
const unixPath = Buffer.alloc(108, "/run/x\0")

/** What proxies put behind the addresses: their own type, the length, and a value that may be anything. */
const tlvs = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([int(0, 255), bytes(0, 40)]), { maxLength: 4 }),
  (all) => Buffer.concat(all.flatMap(([type, value]) => [Buffer.of(type), two(value.length), value]))
)

const transport = pick([1, 2])

const ofBytes: Arbitrary.Arbitrary<Case> = oneOf<Case>(
  Arbitrary.map(Arbitrary.all([ipv4, ipv4, port, port, transport, tlvs]), ([from, to, a, b, transport, tlvs]) => ({
    header: binary(1, 0x10 | transport, from.octets, to.octets, two(a), two(b), tlvs),
    client: { address: from.text }
  })),
  Arbitrary.map(Arbitrary.all([ipv6, ipv6, port, port, transport, tlvs]), ([from, to, a, b, transport, tlvs]) => ({
    header: binary(1, 0x20 | transport, from.octets, to.octets, two(a), two(b), tlvs),
    client: { address: from.text }
  })),
  Arbitrary.map(Arbitrary.all([transport, tlvs]), ([transport, tlvs]) => ({
    header: binary(1, 0x30 | transport, unixPath, unixPath, tlvs),
    client: { address: undefined }
  })),
  Arbitrary.map(tlvs, (tlvs) => ({ header: binary(1, 0, tlvs), client: undefined })),
  // LOCAL: whatever stands there is not looked at
  Arbitrary.map(Arbitrary.all([int(0, 255), bytes(0, 60)]), ([protocol, rest]) => ({
    header: binary(0, protocol, rest),
    client: undefined
  }))
)

const anyCase = oneOf(ofLine, ofBytes)

describe("ProxyHeader", () => {
  it.prop("is read whatever follows it, and until then it is incomplete", [anyCase, bytes(0, 50)], ([all, rest]) => {
    const { client, header } = all
    assert.deepStrictEqual(ProxyHeader.read(Buffer.concat([header, rest])), { length: header.length, client })
    for (let length = 0; length < header.length; length++) {
      assert.strictEqual(ProxyHeader.read(header.subarray(0, length)), "incomplete", `${length} bytes`)
    }
    if (client?.address !== undefined) assert.notStrictEqual(isIP(client.address), 0)
  }, many)

  it.prop("that one byte makes malformed can never become one", [anyCase, bytes(1, 1), int(0, 600), bytes(0, 50)], (
    [{ header }, [byte = 0], at, rest]
  ) => {
    const broken = Buffer.from(header)
    broken[at % header.length] = byte
    const all = Buffer.concat([broken, rest])
    let isOver = false
    for (let length = 0; length <= all.length; length++) {
      const read = ProxyHeader.read(all.subarray(0, length))
      if (isOver) assert.strictEqual(read, "malformed")
      isOver = read === "malformed"
      if (typeof read === "object") break
    }
  }, many)

  it.prop("of bytes that are none is malformed by the first one, or by their end", [bytes(0, 300)], ([all]) => {
    const read = ProxyHeader.read(all)
    if (all.length > 0 && all[0] !== 0x0d && all[0] !== 0x50) assert.strictEqual(read, "malformed")
    assert.notStrictEqual(typeof read, "object")
  }, many)

  it("shows IPv4 in its own form, also to a proxy that listens with both families", () => {
    const mapped = "::ffff:192.0.2.7"
    const octets = Buffer.from("00000000000000000000ffffc0000207", "hex")
    for (const header of [line(`TCP6 ${mapped} ${mapped} 1 2`), binary(1, 0x21, octets, octets, two(1), two(2))]) {
      assert.deepStrictEqual(ProxyHeader.read(header), {
        length: header.length,
        client: { address: "192.0.2.7" }
      })
    }
  })

  it("is malformed where anything is other than the specification has it", () => {
    for (
      const words of [
        "TCP4 192.0.2.1 192.0.2.2 1 65536",
        "TCP4 192.0.2.1 192.0.2.2 1 02",
        "TCP4 192.0.2.1 192.0.2.2 1",
        "TCP4 192.0.2.1 192.0.2.2  1 2",
        "TCP4 192.0.2.1 192.0.2.2 1 2 ",
        "TCP4 192.0.2.01 192.0.2.2 1 2",
        "TCP4 192.0.2.256 192.0.2.2 1 2",
        "TCP4 2001:db8::1 2001:db8::2 1 2",
        "TCP6 192.0.2.1 192.0.2.2 1 2",
        "TCP6 fe80::1%eth0 fe80::2 1 2",
        "tcp4 192.0.2.1 192.0.2.2 1 2",
        "UDP4 192.0.2.1 192.0.2.2 1 2",
        "UNKNOWNS",
        `UNKNOWN ${"x".repeat(92)}`,
        ""
      ]
    ) assert.strictEqual(ProxyHeader.read(line(words)), "malformed", words)
    assert.strictEqual(ProxyHeader.read(Buffer.from(`PROXY UNKNOWN ${"x".repeat(93)}`)), "malformed")
    const addresses = Buffer.alloc(12)
    for (
      const [why, header] of [
        ["version 1 in binary", Buffer.concat([signature, Buffer.of(0x11, 0x11, 0, 12), addresses])],
        ["an unknown command", binary(2, 0x11, addresses)],
        ["an unknown family", binary(1, 0x41, addresses)],
        ["an unknown transport", binary(1, 0x13, addresses)],
        ["addresses that are cut short", binary(1, 0x11, addresses.subarray(1))],
        ["more than anybody has to say", binary(1, 0x11, Buffer.alloc(ProxyHeader.maxBytes))]
      ] as const
    ) assert.strictEqual(ProxyHeader.read(header), "malformed", why)
  })
})
