/**
 * The language that cases are written in: a transcript, one step a line, which reads as a session.
 *
 *     alice: login                    alice logs in, as {alice}; waits for the name if it is not free yet
 *     alice> SEND {group} hi          alice says a line; her first one connects her
 *     alice>> SEND {group} h          … just these bytes, without the end of a line
 *     alice>. SEND {group} hi\n       … one byte a packet
 *     alice< ACK                      what alice hears next, letter by letter
 *     alice< ACK | DECLINE …          one of these; … is any rest
 *     alice< MSG {group} {bob} <t> hi <t> is a timestamp: any, the first time; the same, from then on
 *     alice< MSG … <u after t> ho     … later than t;  <u from t> not before it;  SYNC {group} <t-1> one before
 *     alice<* MSG {group} …           any number of lines like this, before what is heard next
 *     alice< (end)                    the server has ended its side in good order; (broken off): it has not;
 *                                     (closed): either
 *     alice< (within 200 ms) ACK      another deadline than --timeout
 *     alice: nothing more             has heard nothing else, and an answer to something new comes next
 *     alice: connect                  without a word
 *     alice: half-close               has no more to say, and still listens
 *     alice: close                    ends the connection in good order;  alice: cut  breaks it off, by a reset
 *     alice: stop reading             and alice: read on
 *     server: lock {alice}            what an administrator does (--control), or restart (--restart), or kill (--kill)
 *     (300 ms)  (tick)                time goes by;  tick: so much that the next timestamp is another one
 *     # a remark
 *     ---                             what stands above is what the case takes for granted: if that fails, nothing has
 *                                     been found out
 *
 * `{alice}` is a name, another one in each run; `{alice:upper}` the same in capital letters; `{alice:64}` one of so many
 * bytes; `{fill:8192}` so many letters that the line has that many bytes. `\r \n \t \0 \\ \xff \u{1f980}` are bytes.
 *
 * Where nothing else is said, MSG lines that nobody waits for are put aside, as a client does that takes them at any
 * time: a later `alice< MSG` takes the oldest of them. Not so in the answer to a SYNC, where every line counts.
 */

export type Step =
  | { readonly _tag: "Say"; readonly who: string; readonly how: ">" | ">>" | ">."; readonly text: string }
  | { readonly _tag: "Hear"; readonly who: string; readonly text: string; readonly within: number | undefined }
  | { readonly _tag: "Many"; readonly who: string; readonly text: string }
  | { readonly _tag: "Act"; readonly who: string; readonly action: Action }
  | { readonly _tag: "Hand"; readonly text: string }
  | { readonly _tag: "Wait"; readonly millis: number | "tick" }
  | { readonly _tag: "Granted" }

const actions = [
  "login",
  "connect",
  "half-close",
  "close",
  "cut",
  "stop reading",
  "read on",
  "nothing more"
] as const
export type Action = (typeof actions)[number]

const isAction = (text: string): text is Action => actions.some((action) => action === text)

export interface Line {
  readonly step: Step
  readonly text: string
}

const duration = (text: string): number => {
  const [, count = "", unit = ""] = /^(\d+) (ms|s)$/.exec(text) ?? []
  return Number(count) * (unit === "ms" ? 1 : 1000)
}

const parseLine = (text: string): Step | undefined => {
  if (text === "---") return { _tag: "Granted" }
  const [, time] = /^\((tick|\d+ m?s)\)$/.exec(text) ?? []
  if (time !== undefined) return { _tag: "Wait", millis: time === "tick" ? time : duration(time) }
  const [, who = "", how = "", what = ""] = /^([a-z]+)(>>|>\.|>|<\*|<|:) ?(.*)$/s.exec(text) ?? []
  if (how === ">" || how === ">>" || how === ">.") return { _tag: "Say", who, how, text: what }
  if (how === "<*") return { _tag: "Many", who, text: what }
  if (how === "<") {
    const [, within, rest = what] = /^\(within (\d+ m?s)\) (.*)$/s.exec(what) ?? []
    return { _tag: "Hear", who, text: rest, within: within === undefined ? undefined : duration(within) }
  }
  if (how !== ":") return undefined
  if (who === "server") return { _tag: "Hand", text: what }
  return isAction(what) ? { _tag: "Act", who, action: what } : undefined
}

/** The bundle of `cpt` is ASCII, and writes what is not as \uXXXX, also in a raw string, where that is no escape. */
export const unescaped = (raw: string): string =>
  raw.replaceAll(/\\u([0-9a-f]{4})/g, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)))

/** The steps of a transcript. Throws on what is none: a mistake of who wrote it. */
export const parse = (script: string): ReadonlyArray<Line> =>
  unescaped(script).split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")).map(
    (text) => {
      const step = parseLine(text)
      if (step === undefined) throw new Error(`not a step: ${text}`)
      return { step, text }
    }
  )
