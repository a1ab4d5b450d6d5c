import { assert, describe, it } from "@effect/vitest"
import * as Address from "../src/Address.ts"

describe("Address", () => {
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
    ) {
      assert.deepStrictEqual(Address.parse(text), { host, port }, text)
      assert.deepStrictEqual(Address.parse(Address.print({ host, port })), { host, port }, text)
    }
  })

  it("takes nothing else", () => {
    for (
      const text of [
        "",
        ":1",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        "a:b:c",
        "host name",
        "[host]:1",
        "[::1",
        "[]:1",
        "http://host",
        "host/path",
        "a@b"
      ]
    ) assert.isUndefined(Address.parse(text), text)
  })
})
