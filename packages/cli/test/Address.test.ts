import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Address from "../src/Address.ts"

const many = { arbitrary: { runs: 500 } }

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))
const matching = (pattern: RegExp) => Arbitrary.schema(Schema.String.pipe(Schema.check(Schema.isPattern(pattern))))

const name = matching(/^[a-z0-9.-]{1,20}$/)
const ipv4 = Arbitrary.map(Arbitrary.array(int(0, 255), { minLength: 4, maxLength: 4 }), (octets) => octets.join("."))
const ipv6 = Arbitrary.map(
  Arbitrary.array(int(0, 0xffff), { minLength: 8, maxLength: 8 }),
  (groups) => groups.map((group) => group.toString(16)).join(":")
)

const onHost = (host: Arbitrary.Arbitrary<string>) =>
  Arbitrary.map(Arbitrary.all([host, int(0, 65_535), int(0, 1)]), ([host, port, tls]): Address.Address => ({
    host,
    port,
    isTls: tls === 1
  }))

const onPath = Arbitrary.map(matching(/^[^/]{1,20}(?:\/[^/]{1,20}){0,3}$/u), (path): Address.Address => ({
  path: `/${path}`
}))

const anywhere = Arbitrary.flatMap(int(0, 3), (kind) => [onHost(name), onHost(ipv4), onHost(ipv6), onPath][kind]!)

describe("Address", () => {
  it.prop("every one round-trips through its URI", [anywhere], ([address]) => {
    assert.deepStrictEqual(Address.parseUri(Address.toUri(address)), address)
  }, many)

  it.prop("a client takes every one that can be reached, as it is printed", [anywhere], ([address]) => {
    const isReachable = "path" in address || address.port > 0
    assert.deepStrictEqual(Address.parse(Address.print(address)), isReachable ? address : undefined)
    assert.deepStrictEqual(Address.parse(Address.toUri(address)), isReachable ? address : undefined)
  }, many)

  it.prop("nothing makes it throw, and what it reads is that address in another way at the most", [
    Schema.String,
    int(0, 3)
  ], ([text, prefix]) => {
    const all = ["cpt://", "cpts://", "unix:///", ""][prefix] + text
    const address = Address.parseUri(all)
    if (address !== undefined) assert.deepStrictEqual(Address.parseUri(Address.toUri(address)), address)
    Address.parse(all)
  }, many)

  it("takes names and addresses, with a port or without", () => {
    for (
      const [text, host, port] of [
        ["localhost", "localhost", 39168],
        ["chat.example.org:1", "chat.example.org", 1],
        ["10.0.0.7:65535", "10.0.0.7", 65535],
        ["::1", "::1", 39168],
        ["[::1]", "::1", 39168],
        ["[::1]:39169", "::1", 39169],
        ["fe80::1", "fe80::1", 39168]
      ] as const
    ) assert.deepStrictEqual(Address.parse(text), { host, port, isTls: false }, text)
  })

  it("takes URIs, each with the port of its kind", () => {
    for (
      const [text, address] of [
        ["cpt://localhost", { host: "localhost", port: 39168, isTls: false }],
        ["cpts://localhost", { host: "localhost", port: 39169, isTls: true }],
        ["cpts://[::]:0", { host: "::", port: 0, isTls: true }],
        ["unix:///run/my chat.sock", { path: "/run/my chat.sock" }]
      ] as const
    ) assert.deepStrictEqual(Address.parseUri(text), address, text)
  })

  it("takes nothing else", () => {
    const hosts = [
      ":1",
      "host:",
      "host:65536",
      "host:x",
      "a:b:c",
      "host name",
      "[host]:1",
      "[::1",
      "[]:1",
      "a@b",
      "a/b"
    ]
    for (const text of ["", "host:0", "cpt://host:0", "http://host", ...hosts]) {
      assert.isUndefined(Address.parse(text), text)
    }
    const uris = ["", "host", "cpt:host", "cpt://", "CPT://host", "cpts://::1", "cpt://a?b", "cpt://a#b"]
    const paths = ["unix:/run/x", "unix://run/x", "unix:///", "unix:///run/"]
    for (const text of [...uris, ...paths, ...hosts.map((host) => `cpt://${host}`)]) {
      assert.isUndefined(Address.parseUri(text), text)
    }
  })
})
