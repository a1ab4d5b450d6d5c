/** Servers that read an open question otherwise are told so, by the case that asks it, and pass all others on their own terms. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { cases, differences, start } from "../src/index.ts"
import { type Message, Plain, type Session } from "./Plain.ts"

/** A way to read the specification. */
interface Reading {
  readonly server: new() => Plain
  /** What the server is told. */
  readonly told: ReadonlyArray<RegExp>
  /** Cases that do not pass: those that ask this question, and those of which it makes something else. */
  readonly others: ReadonlyArray<string>
}

const readings: Readonly<Record<string, Reading>> = {
  "READING.md": { server: Plain, told: [], others: [] },
  "timestamps in microseconds": {
    server: class extends Plain {
      override timeAfter(last: number) {
        return Math.max(Date.now() * 1000, last + 1)
      }
      override isTime(text: string) {
        return /^(?:0|[1-9]\d{0,15})$/.test(text)
      }
    },
    told: [/^timestamps are in microseconds/],
    others: ["send/4.2/milliseconds", "sync/5.1/after-grammar", "sync/5.1/largest"]
  },
  "the form of the diagram for private messages": {
    server: class extends Plain {
      override tells(session: Session, message: Message) {
        const { sender, target, text, time } = message
        if (target === session.name) this.says(session, `MSG ${sender} ${time} ${text}`)
        else super.tells(session, message)
      }
    },
    told: [/^private messages have the form of the diagram/],
    others: ["sync/5.2/inbox"]
  },
  "the form of the diagram for all messages": {
    server: class extends Plain {
      override line({ sender, text, time }: Message) {
        return `MSG ${sender} ${time} ${text}`
      }
    },
    told: [/^every MSG has the form of the diagram/],
    others: ["sync/5.1/group", "sync/5.2/inbox", "sync/5.6/nothing-between"]
  },
  "the sender as the group of a private message": {
    server: class extends Plain {
      override tells(session: Session, message: Message) {
        super.tells(session, message.target === session.name ? { ...message, target: message.sender } : message)
      }
    },
    told: [/^the group of a private message is its sender/],
    others: ["sync/5.2/inbox"]
  },
  "private messages by one's own name only": {
    server: class extends Plain {
      override sync(session: Session, fields: ReadonlyArray<string>) {
        if (fields.length === 0) this.declines(session, "invalid_command")
        else super.sync(session, fields)
      }
    },
    told: [/^private messages are asked for by the own name/],
    others: ["connect/3.1/sync-before", "sync/5.2/inbox"]
  },
  "no live messages": {
    server: class extends Plain {
      override isFor() {
        return false
      }
    },
    told: [/^new messages of a group that was synced do not come/, /^new private messages do not come/],
    others: cases.filter(({ needs }) => needs.includes("live") || needs.includes("livePrivate")).map(({ id }) => id)
  },
  "messages that also come to who sent them": {
    server: class extends Plain {
      override stores(session: Session, target: string, sender: string, text: string) {
        super.stores(session, target, sender, text)
        const message = this.target(target).messages.at(-1)
        if (message !== undefined && this.isFor(message, session)) this.tells(session, message)
      }
    },
    told: [/^messages also come to who sent them/],
    others: ["live/5.5/own"]
  },
  "a connection that ends with a DECLINE": {
    server: class extends Plain {
      override hasEnough() {
        return true
      }
    },
    told: [/^the connection is closed after a DECLINE/],
    others: [
      "connect/3.1/and-then",
      "connect/3.2/another-name",
      "decline/3.5/goes-on",
      "decline/3.5/three-logins",
      "decline/3.5/twenty"
    ]
  },
  "lines that end with CR LF": {
    server: class extends Plain {
      override says(session: Session, line: string) {
        super.says(session, `${line}\r`)
      }
    },
    told: [/^lines end with CR LF/],
    others: ["framing/1.1/lf"]
  },
  "reasons with an explanation": {
    server: class extends Plain {
      override declines(session: Session, reason: string) {
        const { says } = this
        this.says = (session, line) => says.call(this, session, `${line} for some reason`)
        super.declines(session, reason)
        this.says = says
      }
    },
    told: [/^more than one word stands behind DECLINE/],
    others: ["decline/3.4/bare-word"]
  },
  "answers with parameters": {
    server: class extends Plain {
      override answers(session: Session, line: string) {
        super.answers(session, `${line} ${session.name} is welcome`)
      }
    },
    told: [/^something stands behind ACCEPT, ACK or ENDSYNC/],
    others: ["answers/0.3/bare"]
  },
  "seconds, echoes, CR LF and connections that end with a DECLINE, all at once": {
    server: class extends Plain {
      override timeAfter(last: number) {
        return Math.max(Math.floor(Date.now() / 1000), last)
      }
      override stores(session: Session, target: string, sender: string, text: string) {
        super.stores(session, target, sender, text)
        const message = this.target(target).messages.at(-1)
        if (message !== undefined && this.isFor(message, session)) this.tells(session, message)
      }
      override says(session: Session, line: string) {
        super.says(session, `${line}\r`)
      }
      override hasEnough() {
        return true
      }
    },
    told: [/^timestamps are in seconds/, /^messages also come/, /^the connection is closed/, /^lines end with CR LF/],
    others: [
      "connect/3.1/and-then",
      "connect/3.2/another-name",
      "decline/3.5/goes-on",
      "decline/3.5/three-logins",
      "decline/3.5/twenty",
      "framing/1.1/lf",
      // A second is no cursor for messages that come faster
      "live/5.5/again",
      "live/5.5/own",
      "live/5.5/seam-from-a-cursor",
      "send/4.2/increasing",
      "send/4.2/milliseconds",
      "send/4.2/paging"
    ]
  },
  "no SYNC at all": {
    server: class extends Plain {
      override sync(session: Session) {
        this.declines(session, "unsupported_command")
      }
    },
    told: [/^private messages cannot be asked for/, /^new messages of a group that was synced do not come/],
    others: cases.map(({ id }) => id)
  }
}

/** What most servers are asked: not what takes long, nor what is in names and messages. */
const asked = cases.filter(({ id, isAlone, needs, profiles }) =>
  !isAlone && !needs.includes("control") && !/^names\/|^send\/4\.3/.test(id) &&
  (profiles.includes("core") || profiles.includes("strict") || profiles.includes("delivery"))
)

describe.concurrent("a server that reads the specification as", () => {
  for (const [name, { others, server, told }] of Object.entries(readings)) {
    it.live(`${name} is tested on its own terms`, () =>
      Effect.gen(function*() {
        const plain = yield* Effect.acquireRelease(
          Effect.promise(async () => {
            const plain = new server()
            await plain.start()
            return plain
          }),
          (plain) => Effect.promise(() => plain.stop(false))
        )
        const place = { address: { host: "127.0.0.1", port: plain.port }, tls: undefined }
        const seed = Math.floor(Math.random() * 1_000_000)
        const { dialect, results } = yield* start({ place, cases: asked, seed, timeout: 5000 })
        const sentences = differences(dialect)
        assert.lengthOf(sentences, told.length, sentences.join("\n"))
        for (const what of told) assert.isTrue(sentences.some((sentence) => what.test(sentence)), sentences.join("\n"))
        const surprises = (yield* Stream.runCollect(results)).filter(({ case: { id, level }, verdict }) =>
          verdict !== "pass" && (!others.includes(id) || (verdict === "fail" && level !== "MUST"))
        )
        assert.deepStrictEqual(surprises.map(({ case: { id }, why }) => [id, why]), [])
      }), 60_000)
  }
})
