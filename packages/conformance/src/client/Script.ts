/**
 * The language of the transcripts that clients are tested with. We are the server, and the client is somebody else's:
 *
 *     client: starts                     the command is run, and told to send {one} (`lines`: {one}, {two} and {three}),
 *                                        or to read {group}
 *     client: starts with ok | ok        … to send these;  client: starts on {user}  to read its own inbox
 *     server: login                      takes the client's next connection, hears CONNECT, says ACCEPT
 *     server: takes a connection         … and no more than that
 *     server< SEND {target} {one}        what the client says next, letter by letter
 *     server< SYNC {group} <a>           <a> is any timestamp, the first time; the same, from then on
 *     server< SYNC {group} <t2>          <t1>, <t2>, … are timestamps of ours, in this order
 *     server< (end)                      the client has ended its side, or broken off
 *     server> ACK                        we say a line;  server> ACK\nMSG …  two in one packet
 *     server>> MSG {group} {bob} <t      … just these bytes, without the end of a line
 *     server>. ACK\n                     … one byte a packet
 *     server: hears nothing              the client waits: it says nothing, opens no other connection, does not end
 *     server: hears nothing for 1500 ms
 *     server: has MSG {group} {bob} <t3> {three}   somebody has sent this; a later answer has it. So has it what we said
 *     server: answers                    what there is after the timestamp that was asked for, and ENDSYNC
 *     server: end                        we end the connection in good order;  server: cut  we break it off
 *     server: serves nobody              from now on every connection is broken off;  server: serves again
 *     server: declines names: taken      from now on this is the answer to every CONNECT
 *     client: done                       it exits with 0, and says nothing more until then
 *     client: not done                   it does not exit with 0
 *     client: ends                       it exits, with whatever status
 *     client: tells moon_phase           it has this word, in its own spelling, on stdout or stderr
 *     client: backs off for 3000 ms      it tries to connect, less and less often; it need not come back at all
 *     client< {one} {two}                it prints each of these once, in this order, and none of the others
 *     (300 ms)                           time goes by
 *     # a remark
 *
 * A client may always ask for what it likes when no answer is due: a SYNC that nobody expects is answered. `{bob}` is a
 * random word. Bytes are escaped as in the transcripts that servers are tested with (`../Script.ts`).
 */
import { unescaped } from "../Script.ts"

export type Step =
  | { readonly _tag: "Starts"; readonly how: "with" | "on" | undefined; readonly text: string }
  | { readonly _tag: "Says"; readonly how: ">" | ">>" | ">."; readonly text: string }
  | { readonly _tag: "Hears"; readonly text: string }
  | { readonly _tag: "HearsNothing"; readonly millis: number }
  | { readonly _tag: "Has"; readonly text: string }
  | { readonly _tag: "Declines"; readonly reason: string }
  | { readonly _tag: "Does"; readonly action: Action }
  | { readonly _tag: "Prints"; readonly text: string }
  | { readonly _tag: "Tells"; readonly word: string }
  | { readonly _tag: "BacksOff"; readonly millis: number }
  | { readonly _tag: "Wait"; readonly millis: number }

const actions = [
  "server: login",
  "server: takes a connection",
  "server: answers",
  "server: end",
  "server: cut",
  "server: serves nobody",
  "server: serves again",
  "client: done",
  "client: not done",
  "client: ends"
] as const
export type Action = (typeof actions)[number]

const isAction = (text: string): text is Action => actions.some((action) => action === text)

/** How long a client has to be silent where nothing else is said. */
const silence = 300

const forms: ReadonlyArray<readonly [RegExp, (...parts: ReadonlyArray<string | undefined>) => Step]> = [
  [/^client: starts(?: (with|on) (.+))?$/, (how, text = "") => ({
    _tag: "Starts",
    how: how === "with" || how === "on" ? how : undefined,
    text
  })],
  [/^server(>>|>\.|>) (.+)$/, (how, text = "") => ({
    _tag: "Says",
    how: how === ">>" || how === ">." ? how : ">",
    text
  })],
  [/^server< (.+)$/, (text = "") => ({ _tag: "Hears", text })],
  [/^server: hears nothing(?: for (\d+) ms)?$/, (millis) => ({
    _tag: "HearsNothing",
    millis: millis === undefined ? silence : Number(millis)
  })],
  [/^server: has (.+)$/, (text = "") => ({ _tag: "Has", text })],
  [/^server: declines names: (.+)$/, (reason = "") => ({ _tag: "Declines", reason })],
  [/^client< (.+)$/, (text = "") => ({ _tag: "Prints", text })],
  [/^client: tells (\w+)$/, (word = "") => ({ _tag: "Tells", word })],
  [/^client: backs off for (\d+) ms$/, (millis) => ({ _tag: "BacksOff", millis: Number(millis) })],
  [/^\((\d+) ms\)$/, (millis) => ({ _tag: "Wait", millis: Number(millis) })]
]

const parseLine = (line: string): Step => {
  if (isAction(line)) return { _tag: "Does", action: line }
  for (const [form, make] of forms) {
    const [, ...parts] = form.exec(line) ?? []
    if (form.test(line)) return make(...parts)
  }
  throw new Error(`not a step: ${line}`)
}

/** The steps of a transcript. Throws on what is none: a mistake of who wrote it. */
export const parse = (script: string): ReadonlyArray<Step> =>
  unescaped(script).split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")).map(
    parseLine
  )
