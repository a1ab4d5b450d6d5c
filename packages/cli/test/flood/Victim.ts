/**
 * A process with two who do nothing wrong: one says something 100 times a second, each time when it is due, and the other
 * follows. `node Victim.ts PORT`: for each line of stdin, says in JSON how long each answer has taken since the last one, in
 * microseconds, and how long each message was under way. A message whose ACK is still outstanding delays the next one, which
 * counts from when it was due.
 */
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline"

const port = Number(process.argv[2])
const every = 10

const login = (name: string, onText: (text: string) => void) =>
  new Promise<Socket>((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true })
    socket.once("data", (bytes) => {
      if (bytes.toString() !== "ACCEPT\n") return reject(new Error(`${name}: ${bytes}`))
      socket.on("data", (bytes) => onText(bytes.toString("latin1")))
      resolve(socket)
    })
    socket.on("error", reject)
    socket.on("close", () => reject(new Error(`${name} has lost its connection`)))
    socket.write(`CONNECT ${name}\n`)
  })

let acks: Array<number> = []
let deliveries: Array<number> = []
let due = 0
let isWaiting = false

const friend = await login("friend", (text) => {
  for (const [, at] of text.matchAll(/^MSG lobby victim \d+ (\d+)$/gm)) {
    deliveries.push(Math.round((performance.now() - Number(at) / 1000) * 1000))
  }
})
friend.write("SYNC lobby 0\n")
const victim = await login("victim", (text) => {
  if (!text.includes("ACK\n")) throw new Error(`instead of an ACK: ${text}`)
  acks.push(Math.round((performance.now() - due) * 1000))
  isWaiting = false
  due += every
  step()
})
const send = () => {
  isWaiting = true
  victim.write(`SEND lobby ${Math.round(due * 1000)}\n`)
}
/** A timer of Node is late by up to a millisecond, so the last bit is waited for. */
const step = () => {
  const left = due - performance.now()
  if (left > 1.5) setTimeout(step, left - 1.5)
  else if (left > 0) setImmediate(step)
  else if (!isWaiting) send()
}
due = performance.now()
step()

console.log("ready")
for await (const _ of createInterface(process.stdin)) {
  console.log(JSON.stringify({ acks, deliveries }))
  acks = []
  deliveries = []
}
process.exit()
