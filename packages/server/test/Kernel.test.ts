import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { bytesIn, deadIn, keyOf, presence } from "../src/Kernel.ts"

const head =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n"

const hex = (n: number) => n.toString(16).toUpperCase().padStart(8, "0")

/** A row as Linux writes it (`get_tcp4_sock`). */
const row = (index: number, key: string, state: string, timer: string, retries: number, bytes = 0x123) =>
  `${String(index).padStart(4)}: ${key}${state} ${hex(bytes)}:00000000 ${timer}:00000452 ${
    hex(retries)
  }     0        0 19 1 00000000e99a399c 100 0 0 10 0                        \n`

/** As it is read: in portions. */
const table = (...portions: ReadonlyArray<ReadonlyArray<string>>) => portions.map((rows) => Buffer.from(rows.join("")))

const here = "0100007F:9900"
const [one, two, three] = [`${here} 0100007F:8001 `, `${here} 0100007F:8002 `, `${here} 0100000A:0101 `]
const elsewhere = "0200007F:9900 0100000A:0101 " // as three, to another address of this machine
const six = "0000000000000000FFFF00000200007F:9900 0000000000000000FFFF00000100000A:0101 "

describe("deadIn", () => {
  it("CPT 3.2: finds who has been sent the same seven times, and nobody else", async () => {
    const rows = [
      row(0, `${here} 00000000:0000 `, "0A", "00", 0),
      row(1, one, "01", "00", 0, 0), // nothing is under way
      row(10, two, "01", "01", 6),
      row(100, three, "01", "01", 7),
      row(102, elsewhere, "01", "01", 6),
      row(101, `${here} 0100007F:8003 `, "01", "02", 9), // keepalive
      row(1000, `${here} 0100007F:8004 `, "04", "04", 9), // a closed window
      row(10_000, six, "08", "01", 17)
    ]
    assert.deepStrictEqual([...await deadIn(table([head, ...rows.slice(0, 6)], [...rows.slice(6), head]))], [
      three,
      six
    ])
    assert.deepStrictEqual([...await deadIn(table([head, ...rows.slice(0, 3)]))], [])
    assert.deepStrictEqual([...await deadIn([])], [])
  })
})

describe("bytesIn", () => {
  it("CPT 5.8: counts what each peer has not acknowledged, of all who have not acknowledged something", async () => {
    const rows = [
      row(0, `${here} 00000000:0000 `, "0A", "00", 0, 0),
      row(1, one, "01", "00", 0, 0),
      row(10, two, "01", "01", 6, 1),
      row(100, three, "01", "04", 0, 0x27ab00),
      row(101, elsewhere, "01", "01", 0, 2),
      row(10_000, six, "08", "01", 17, 0xffffffff)
    ]
    assert.deepStrictEqual([...await bytesIn(table([head, ...rows.slice(0, 3)], [...rows.slice(3), head]))], [
      [two, 1],
      [three, 0x27ab00],
      [elsewhere, 2],
      [six, 0xffffffff]
    ])
    assert.deepStrictEqual([...await bytesIn([])], [])
  })
})

describe.runIf(process.platform === "linux")("presence", () => {
  it("finds each of some hundred connections, wherever in the table it is, and knows who has gone", async () => {
    const server = createServer()
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("no port")
    const served: Array<Socket> = []
    server.on("connection", (socket) => served.push(socket.on("error", () => {})))
    const peers = Array.from({ length: 400 }, () => connect(address.port, "127.0.0.1"))
    await Promise.all(peers.map((peer) => once(peer, "connect")))
    while (served.length < peers.length) await once(server, "connection")
    const keys = served.map((socket) => {
      const key = keyOf(socket)
      if (key === undefined) throw new Error("no key")
      return key
    })
    assert.deepStrictEqual(new Set(await Promise.all(keys.map(presence))), new Set(["here"] as const))
    const gone = served.slice(0, 10)
    for (const socket of gone) socket.pause()
    for (const { remotePort } of gone) peers.find(({ localPort }) => localPort === remotePort)?.resetAndDestroy()
    assert.deepStrictEqual(new Set(await Promise.all(keys.slice(0, 10).map(presence))), new Set(["gone"] as const))
    assert.strictEqual(await presence(keys[10]!), "here")
    for (const socket of [...peers, ...served]) socket.destroy()
    server.close()
  })

  for (const [host, prefix] of [["0.0.0.0", ""], ["::", "::ffff:"]] as const) {
    it(`tells connections apart that come from one port to two addresses, where ${host} is listened on`, async () => {
      const server = createServer()
      server.listen(0, host)
      await once(server, "listening")
      const address = server.address()
      if (address === null || typeof address === "string") throw new Error("no port")
      const { port } = address
      const served = new Map<string | undefined, Socket>()
      server.on("connection", (socket) => served.set(socket.localAddress, socket.on("error", () => {})))
      const connected = async (host: string, localPort?: number) => {
        const socket = connect({ port, host, localAddress: "127.0.0.1", localPort })
        await once(socket, "connect")
        return socket
      }
      const one = await connected("127.0.0.1")
      const two = await connected("127.0.0.2", one.localPort)
      while (served.size < 2) await once(server, "connection")
      const keys = ["127.0.0.1", "127.0.0.2"].map((ip) => keyOf(served.get(prefix + ip) ?? {}) ?? "")
      for (const socket of served.values()) socket.pause()
      one.resetAndDestroy()
      assert.deepStrictEqual(await Promise.all(keys.map(presence)), ["gone", "here"])
      for (const socket of [two, ...served.values()]) socket.destroy()
      server.close()
    })
  }
})
