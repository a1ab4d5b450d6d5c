import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Equal, Result, Schema } from "effect"
import { Buffer } from "node:buffer"
import * as Command from "../src/Command.ts"
import { fromReason, InvalidCommand, knownReasons, UnsupportedCommand } from "../src/Decline.ts"
import * as Framer from "../src/Framer.ts"
import * as Limits from "../src/Limits.ts"
import { Message } from "../src/Message.ts"
import { GroupName, Name, Target } from "../src/Name.ts"
import { isTimestampField, max as maxTimestamp, Timestamp } from "../src/Timestamp.ts"
import {
  anyLine,
  badMessageText,
  badNameText,
  clientCommand,
  hostileText,
  many,
  messageText,
  nameText,
  notTimestamps,
  oneOf,
  pick,
  reservedText,
  serverCommand,
  timestampNumber
} from "./generators.ts"

const encodeClient = Schema.encodeSync(Command.ClientCommandFromLine)
const encodeServer = Schema.encodeSync(Command.ServerCommandFromLine)

/** The lines that a peer makes of these bytes. */
const overTheWire = (line: string): ReadonlyArray<Framer.Line> =>
  new Framer.Framer(Limits.maxReceivedLineBytes).push(Buffer.from(`${line}\n`))

/** What a client's line is to a server: the command, or the word it is declined with. */
const client = (line: string): unknown =>
  Result.match(Command.readClientLine(line), {
    onFailure: (error) => error.reason,
    onSuccess: (command) => ({ ...command })
  })

const server = (line: string): unknown =>
  Result.match(Command.readServerLine(line), {
    onFailure: () => "refused",
    onSuccess: (command) => ({ ...command })
  })

const name = Name.make
const target = Target.make
const group = GroupName.make
const message = Message.make
const timestamp = Timestamp.make

describe("the commands of a client", () => {
  it("CPT 0.3: each has its line", () => {
    for (
      const [command, line] of [
        [new Command.Connect({ username: name("alice") }), "CONNECT alice"],
        [
          new Command.Send({ target: target("group1"), message: message("Hello  ceci est ") }),
          "SEND group1 Hello  ceci est "
        ],
        [new Command.Sync({ group: group("group1"), after: timestamp(0) }), "SYNC group1 0"],
        [new Command.Sync({ group: group("group1"), after: maxTimestamp as Timestamp }), "SYNC group1 999999999999999"],
        [new Command.SyncInbox({}), "SYNC"]
      ] as const
    ) {
      assert.strictEqual(Command.clientLine(command), line)
      assert.deepStrictEqual(Result.getOrThrow(Command.readClientLine(line)), command)
    }
  })

  it.prop("CPT 1.3: every one round-trips through its line, as one line on the wire", [clientCommand], ([command]) => {
    const line = Command.clientLine(command)
    const read = Result.getOrThrow(Command.readClientLine(line))
    assert.deepStrictEqual(read, command)
    assert.isTrue(Equal.equals(read, command))
    assert.strictEqual(read.constructor, command.constructor)
    assert.deepStrictEqual(overTheWire(line), [line])
  }, many)

  it.prop("CPT 1.3: the fast line equals the Schema's", [clientCommand], ([command]) => {
    assert.strictEqual(Command.clientLine(command), encodeClient(command))
  }, many)

  it("CPT 1.3: fields are parted by exactly one space, and the last of SEND takes the rest", () => {
    const invalid = "invalid_command"
    const transcript: ReadonlyArray<readonly [line: string, is: unknown]> = [
      ["CONNECT alice", { _tag: "CONNECT", username: "alice" }],
      ["CONNECT", invalid],
      ["CONNECT ", invalid],
      ["CONNECT  alice", invalid],
      ["CONNECT alice ", invalid],
      ["CONNECT alice bob", invalid],
      ["CONNECT\talice", invalid],
      [" CONNECT alice", invalid],
      ["SEND g hi", { _tag: "SEND", target: "g", message: "hi" }],
      ["SEND g  hi ", { _tag: "SEND", target: "g", message: " hi " }],
      ["SEND g  ", { _tag: "SEND", target: "g", message: " " }],
      ["SEND g \t", { _tag: "SEND", target: "g", message: "\t" }],
      ["SEND g a\u00a0\u2028b", { _tag: "SEND", target: "g", message: "a\u00a0\u2028b" }],
      ["SEND 0 0", { _tag: "SEND", target: "0", message: "0" }],
      ["SEND SEND SEND g x", { _tag: "SEND", target: "SEND", message: "SEND g x" }],
      ["SEND", invalid],
      ["SEND ", invalid],
      ["SEND g", invalid],
      ["SEND g ", invalid],
      ["SEND  g hi", invalid],
      ["SEND  hi", invalid],
      ["SEND\tg hi", invalid],
      ["SEND g\u00a0hi", invalid],
      ["SEND g a\u0085b", invalid],
      ["SEND g a\rb", invalid],
      ["SEND g a\r", invalid],
      ["SEND g \ud83e", invalid],
      ["SYNC", { _tag: "SYNC_INBOX" }],
      ["SYNC g 0", { _tag: "SYNC", group: "g", after: 0 }],
      ["SYNC 0 1", { _tag: "SYNC", group: "0", after: 1 }],
      ["SYNC ", invalid],
      ["SYNC g", invalid],
      ["SYNC g ", invalid],
      ["SYNC  0", invalid],
      ["SYNC  g 0", invalid],
      ["SYNC g  0", invalid],
      ["SYNC g 0 ", invalid],
      ["SYNC g 0 0", invalid],
      ["SYNC\r", invalid]
    ]
    for (const [line, is] of transcript) assert.deepStrictEqual(client(line), is, JSON.stringify(line))
  })

  it("CPT 5.1: SYNC takes a strict decimal timestamp and nothing else", () => {
    for (const field of notTimestamps) assert.strictEqual(client(`SYNC g ${field}`), "invalid_command", field)
  })

  it("CPT 1.6: command words are upper case", () => {
    for (const line of ["connect alice", "Connect alice", "send g hi", "sync", "Sync g 0", "ack", "msg g a 1 x"]) {
      assert.strictEqual(client(line), "invalid_command")
    }
  })

  it("CPT 3.3: the words that only a server says are unsupported_command, whatever stands behind them", () => {
    for (const word of ["ACCEPT", "DECLINE", "ACK", "MSG", "ENDSYNC"]) {
      for (const rest of ["", " ", " x", "  ", " g alice 1 hi", " \r", " \ud83e"]) {
        assert.strictEqual(client(`${word}${rest}`), "unsupported_command")
      }
      for (const line of [`${word}x`, `${word}\t`, `${word}\r`, ` ${word}`, `${word}\u00a0x`]) {
        assert.strictEqual(client(line), "invalid_command")
      }
    }
  })

  it("CPT 3.3: unknown words are invalid_command, also those that are names in here", () => {
    for (
      const line of [
        "",
        " ",
        "QUIT",
        "SYNC_INBOX",
        "DIRECT_MSG a 1 x",
        "constructor",
        "__proto__ x",
        "\ufeffSYNC",
        "\0"
      ]
    ) {
      assert.strictEqual(client(line), "invalid_command", line)
    }
  })

  it("CPT 2.1: `system` is read in a CONNECT, for the server to refuse; sent to or synced it is no command", () => {
    for (const system of ["system", "SYSTEM", "sYstem", "ſystem", "syﬆem"]) {
      assert.deepStrictEqual(client(`CONNECT ${system}`), { _tag: "CONNECT", username: system })
      assert.strictEqual(client(`SEND ${system} hi`), "invalid_command")
      assert.strictEqual(client(`SYNC ${system} 0`), "invalid_command")
    }
  })

  it.prop("CPT 3.2: the name that is read by hand is the Schema's", [
    oneOf(anyLine, Arbitrary.map(oneOf(nameText, badNameText, reservedText, hostileText), (text) => `CONNECT ${text}`))
  ], ([line]) => {
    const read = Result.getOrUndefined(Command.readClientLine(line))
    assert.strictEqual(Command.usernameIn(line), read?._tag === "CONNECT" ? read.username : undefined)
  }, many)

  it.prop("CPT 3.3: no string makes the reader throw; what it reads is the line and no other", [anyLine], ([line]) => {
    const result = Command.readClientLine(line)
    if (Result.isSuccess(result)) {
      assert.strictEqual(Command.clientLine(result.success), line)
      assert.strictEqual(encodeClient(result.success), line)
    } else {
      if (/^(?:ACCEPT|DECLINE|ACK|MSG|ENDSYNC)(?: |$)/.test(line)) assert.instanceOf(result.failure, UnsupportedCommand)
      else assert.instanceOf(result.failure, InvalidCommand)
    }
  }, { arbitrary: { runs: 3000, size: 12 } })
})

describe("the commands of a server", () => {
  it("CPT 0.3: each has its line", () => {
    const fields = { sender: name("alice"), timestamp: timestamp(1_700_000_000_000), message: message(" a  b ") }
    for (
      const [command, line] of [
        [new Command.Accept({}), "ACCEPT"],
        [new Command.Decline({ reason: message("username_taken") }), "DECLINE username_taken"],
        [new Command.Ack({}), "ACK"],
        [new Command.Msg({ group: name("group1"), ...fields }), "MSG group1 alice 1700000000000  a  b "],
        [new Command.DirectMsg(fields), "MSG alice 1700000000000  a  b "],
        [new Command.EndSync({}), "ENDSYNC"]
      ] as const
    ) {
      assert.strictEqual(Command.serverLine(command), line)
      assert.deepStrictEqual(Result.getOrThrow(Command.readServerLine(line)), command)
    }
  })

  it.prop("CPT 1.3: every one round-trips through its line, as one line on the wire", [serverCommand], ([command]) => {
    const line = Command.serverLine(command)
    const read = Result.getOrThrow(Command.readServerLine(line))
    assert.deepStrictEqual(read, command)
    assert.isTrue(Equal.equals(read, command))
    assert.strictEqual(read.constructor, command.constructor)
    assert.deepStrictEqual(overTheWire(line), [line])
  }, many)

  it.prop("CPT 1.3: the fast line equals the Schema's", [serverCommand], ([command]) => {
    const line = encodeServer(command)
    assert.strictEqual(Command.serverLine(command), line)
    if (command._tag === "MSG") {
      assert.strictEqual(Command.msgLine(command.group, command.sender, command.timestamp, command.message), line)
    }
  }, many)

  it.prop("CPT 3.4: the line of an error is that of its DECLINE", [messageText], ([text]) => {
    for (const reason of [...knownReasons, text]) {
      const line = Command.serverLine(new Command.Decline({ reason: message(reason) }))
      assert.strictEqual(Command.declineLine(fromReason(reason)), line)
    }
  })

  it("CPT 1.3: fields are parted by exactly one space, and the last of MSG and DECLINE takes the rest", () => {
    const transcript: ReadonlyArray<readonly [line: string, is: unknown]> = [
      ["ACCEPT", { _tag: "ACCEPT" }],
      ["ACCEPT ", "refused"],
      ["ACCEPT x", "refused"],
      ["ACK", { _tag: "ACK" }],
      ["ACK ", "refused"],
      ["ack", "refused"],
      ["ENDSYNC", { _tag: "ENDSYNC" }],
      ["ENDSYNC g", "refused"],
      ["DECLINE banned", { _tag: "DECLINE", reason: "banned" }],
      ["DECLINE you are  banned ", { _tag: "DECLINE", reason: "you are  banned " }],
      ["DECLINE", "refused"],
      ["DECLINE ", "refused"],
      ["MSG g alice 7 hi", { _tag: "MSG", group: "g", sender: "alice", timestamp: 7, message: "hi" }],
      ["MSG g alice 7  hi ", { _tag: "MSG", group: "g", sender: "alice", timestamp: 7, message: " hi " }],
      ["MSG g alice 7  ", { _tag: "MSG", group: "g", sender: "alice", timestamp: 7, message: " " }],
      ["MSG system system 0 soon", { _tag: "MSG", group: "system", sender: "system", timestamp: 0, message: "soon" }],
      ["MSG", "refused"],
      ["MSG g", "refused"],
      ["MSG g alice", "refused"],
      ["MSG g alice 7", "refused"],
      ["MSG g alice 7 ", "refused"],
      ["MSG  g alice 7 hi", "refused"],
      ["MSG g  alice 7 hi", "refused"],
      ["MSG g alice  7 hi", "refused"],
      ["MSG g alice 07 hi", "refused"],
      ["MSG g alice 7 a\rb", "refused"],
      ["SYNC", "refused"],
      ["CONNECT alice", "refused"],
      ["", "refused"]
    ]
    for (const [line, is] of transcript) assert.deepStrictEqual(server(line), is, JSON.stringify(line))
  })

  it("CPT 6.4: MSG without a group is read where the third field is no timestamp and the second is one", () => {
    const transcript: ReadonlyArray<readonly [line: string, is: unknown]> = [
      ["MSG red 7 Private message", { _tag: "DIRECT_MSG", sender: "red", timestamp: 7, message: "Private message" }],
      ["MSG red 7 hi", { _tag: "DIRECT_MSG", sender: "red", timestamp: 7, message: "hi" }],
      ["MSG red 7 8", { _tag: "DIRECT_MSG", sender: "red", timestamp: 7, message: "8" }],
      ["MSG red 7 8 ", { _tag: "DIRECT_MSG", sender: "red", timestamp: 7, message: "8 " }],
      ["MSG red 7  8 x", { _tag: "DIRECT_MSG", sender: "red", timestamp: 7, message: " 8 x" }],
      ["MSG red 7 08 x", { _tag: "DIRECT_MSG", sender: "red", timestamp: 7, message: "08 x" }],
      ["MSG red 7 8 x", { _tag: "MSG", group: "red", sender: "7", timestamp: 8, message: "x" }],
      ["MSG red 7 8  ", { _tag: "MSG", group: "red", sender: "7", timestamp: 8, message: " " }],
      ["MSG red 7 ", "refused"],
      ["MSG red 7", "refused"]
    ]
    for (const [line, is] of transcript) assert.deepStrictEqual(server(line), is, JSON.stringify(line))
  })

  it.prop(
    "CPT 6.4: a direct MSG can be made of every text that reads back as one, and of no other",
    { sender: nameText, at: timestampNumber, text: messageText },
    ({ sender, at, text }) => {
      const read = Command.readServerLine(`MSG ${sender} ${at} ${text}`)
      const make = () =>
        new Command.DirectMsg({ sender: name(sender), timestamp: timestamp(at), message: message(text) })
      if (Result.isSuccess(read) && read.success._tag === "DIRECT_MSG") assert.deepStrictEqual(make(), read.success)
      else assert.throws(make)
    },
    many
  )

  it.prop("CPT 1.3: no string makes the reader throw; what it reads is the line and no other", [anyLine], ([line]) => {
    const result = Command.readServerLine(line)
    if (Result.isSuccess(result)) {
      assert.strictEqual(Command.serverLine(result.success), line)
      assert.strictEqual(encodeServer(result.success), line)
    } else {
      assert.isAbove(result.failure.message.length, 0)
    }
  }, { arbitrary: { runs: 3000, size: 12 } })

  it("CPT 1.8: the MSG of the longest SEND is longer than that, and fits into what a client takes", () => {
    const text = "x".repeat(Limits.maxLineBytes - "SEND g ".length)
    const line = Command.msgLine("g".repeat(64), "s".repeat(64), maxTimestamp, text)
    assert.isAbove(line.length, Limits.maxLineBytes)
    assert.isAtMost(line.length, Limits.maxReceivedLineBytes)
    assert.deepStrictEqual(overTheWire(line), [line])
  })
})

describe("nothing is smuggled through a field", () => {
  // What the types keep out, a careless cast does not
  const careless = (fields: object): never => fields as never

  const attempts = (
    a: string,
    b: string,
    c: string,
    n: number
  ): ReadonlyArray<() => Command.ClientCommand | Command.ServerCommand> => [
    () => new Command.Connect(careless({ username: a })),
    () => new Command.Send(careless({ target: a, message: b })),
    () => new Command.Sync(careless({ group: a, after: n })),
    () => new Command.Sync(careless({ group: a, after: b })),
    () => new Command.Decline(careless({ reason: a })),
    () => new Command.Msg(careless({ group: a, sender: b, timestamp: n, message: c })),
    () => new Command.Msg(careless({ group: a, sender: b, timestamp: c, message: c })),
    () => new Command.DirectMsg(careless({ sender: a, timestamp: n, message: b })),
    () => new Command.DirectMsg(careless({ sender: a, timestamp: b, message: c }))
  ]

  const isClient = Schema.is(Command.ClientCommand)

  it.prop(
    "CPT 1.3: a command made of any strings either cannot be made or is one line that reads as the same command",
    {
      a: hostileText,
      b: hostileText,
      c: hostileText,
      n: oneOf<number>(timestampNumber, pick([-1, 0.5, 1e15, 1e21, Number.MAX_SAFE_INTEGER]))
    },
    ({ a, b, c, n }) => {
      for (const attempt of attempts(a, b, c, n)) {
        let command: Command.ClientCommand | Command.ServerCommand
        try {
          command = attempt()
        } catch {
          continue
        }
        const [line, encoded] = isClient(command)
          ? [Command.clientLine(command), encodeClient(command)]
          : [Command.serverLine(command), encodeServer(command)]
        assert.strictEqual(line, encoded)
        assert.deepStrictEqual(overTheWire(line), [line])
        const read = isClient(command) ? Command.readClientLine(line) : Command.readServerLine(line)
        assert.deepStrictEqual<unknown>(Result.getOrThrow<unknown, unknown>(read), command)
      }
    },
    { arbitrary: { runs: 2000, size: 10 } }
  )

  it.prop(
    "CPT 2.1: no command can be made with what is no name, nor encoded from it",
    { bad: badNameText, good: nameText, text: messageText },
    ({ bad, good, text }) => {
      for (
        const fields of [
          { _tag: "CONNECT", username: bad },
          { _tag: "SEND", target: bad, message: text },
          { _tag: "SYNC", group: bad, after: 1 },
          { _tag: "MSG", group: bad, sender: good, timestamp: 1, message: text },
          { _tag: "MSG", group: good, sender: bad, timestamp: 1, message: text },
          { _tag: "DIRECT_MSG", sender: bad, timestamp: 1, message: text }
        ] as const
      ) refusesToSay(fields)
    },
    many
  )

  it.prop("CPT 2.1: nothing can be sent to `system`, and it cannot be synced", [reservedText], ([system]) => {
    refusesToSay({ _tag: "SEND", target: system, message: "x" })
    refusesToSay({ _tag: "SYNC", group: system, after: 1 })
  })

  it.prop(
    "CPT 4.3: no command can be made with what is no message, nor encoded from it",
    [nameText, badMessageText],
    ([good, bad]) => {
      for (
        const fields of [
          { _tag: "SEND", target: good, message: bad },
          { _tag: "DECLINE", reason: bad },
          { _tag: "MSG", group: good, sender: good, timestamp: 1, message: bad },
          { _tag: "DIRECT_MSG", sender: good, timestamp: 1, message: bad }
        ] as const
      ) refusesToSay(fields)
    },
    many
  )

  it("CPT 4.2: no command can be made with what is no timestamp, nor encoded from it", () => {
    for (const at of [-1, 0.5, 1e15, 1e21, Number.NaN, Number.POSITIVE_INFINITY, "7", "", null, undefined]) {
      refusesToSay({ _tag: "SYNC", group: "g", after: at })
      refusesToSay({ _tag: "MSG", group: "g", sender: "a", timestamp: at, message: "x" })
      refusesToSay({ _tag: "DIRECT_MSG", sender: "a", timestamp: at, message: "x" })
    }
  })

  const classes = {
    CONNECT: Command.Connect,
    SEND: Command.Send,
    SYNC: Command.Sync,
    DECLINE: Command.Decline,
    MSG: Command.Msg,
    DIRECT_MSG: Command.DirectMsg
  }

  /** Neither the constructor takes these fields nor does encoding them, as they are, give a line. */
  function refusesToSay(fields: { readonly _tag: keyof typeof classes; readonly [field: string]: unknown }) {
    const Class = classes[fields._tag]
    assert.throws(() => new Class(careless(fields)))
    const forged = Object.assign(Object.create(Class.prototype), fields)
    assert.throws(() => encodeClient(forged))
    assert.throws(() => encodeServer(forged))
  }
})

describe("a message read twice", () => {
  it.prop(
    "CPT 1.3: the text of a SEND comes out of its MSG as it went in, and never as a MSG of another shape",
    { to: nameText, from: nameText, at: timestampNumber, text: messageText },
    ({ to, from, at, text }) => {
      const sent = Result.getOrThrow(Command.readClientLine(`SEND ${to} ${text}`))
      assert.strictEqual(sent._tag, "SEND")
      const line = Command.msgLine(to, from, at, text)
      assert.isTrue(isTimestampField(line.split(" ")[3]!))
      const received = Result.getOrThrow(Command.readServerLine(line))
      assert.deepStrictEqual<unknown>({ ...received }, {
        _tag: "MSG",
        group: to,
        sender: from,
        timestamp: at,
        message: text
      })
    },
    many
  )
})
