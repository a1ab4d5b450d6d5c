/** A client of the soak test: a bare connection that speaks lines, and none of our code between it and the wire. */
import { once } from "node:events"
import { connect, type Socket } from "node:net"

export class Peer {
  readonly socket: Socket
  #rest = ""

  private constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true })
    this.socket.on("error", () => {})
  }

  /** Logs in, and from then on gives `hear` each line. */
  static async login(port: number, name: string, hear: (line: string) => void): Promise<Peer> {
    const peer = new Peer(port)
    await once(peer.socket, "connect")
    const accepted = new Promise<void>((resolve, reject) => {
      let isIn = false
      peer.socket.on("data", (bytes: Buffer) => {
        const lines = (peer.#rest + bytes.toString("latin1")).split("\n")
        peer.#rest = lines.pop() ?? ""
        for (const line of lines) {
          if (isIn) hear(line)
          else if (line === "ACCEPT") {
            isIn = true
            resolve()
          } else reject(new Error(`${name} was not let in: ${line}`))
        }
      })
      peer.socket.on("close", () => reject(new Error(`${name}: the connection was lost before the login`)))
    })
    peer.say(`CONNECT ${name}\n`)
    await accepted
    return peer
  }

  say(lines: string): void {
    this.socket.write(lines)
  }

  /** Goes without a word: the server learns it from a reset. */
  kill(): void {
    this.socket.resetAndDestroy()
  }
}
