/**
 * What a server logs: to stderr, since stdout is for data. For people on a terminal, one JSON object a line for
 * programs. How much can change while it runs.
 */
import { IsLogged } from "@cpt/server"
import { Cause, Effect, Layer, Logger, LogLevel, MutableRef, References } from "effect"
import { visible } from "../Visible.ts"
import type { Values } from "./Table.ts"

export type Level = Values["log-level"]

const levels: { readonly [K in Level]: LogLevel.LogLevel } = {
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error"
}

interface Entry {
  readonly time: string
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const textOf = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value) ?? String(value)

const json = ({ fields, ...entry }: Entry): string => JSON.stringify({ ...entry, ...fields })

const colors: Readonly<Record<string, string>> = { debug: "2", info: "32", warn: "33", error: "31", fatal: "31" }

/** `06:09:52 info  session ended user=bob`: on a terminal, so nothing of what others wrote goes out raw. */
const pretty = (isColored: boolean) => ({ fields, level, message, time }: Entry): string => {
  const paint = (code: string, text: string) => isColored ? `\u001B[${code}m${text}\u001B[0m` : text
  const said = Object.entries(fields).map(([name, value]) => ` ${paint("2", `${name}=`)}${visible(textOf(value))}`)
  const clock = new Date(time).toTimeString().slice(0, 8)
  return `${paint("2", clock)} ${paint(colors[level] ?? "0", level.padEnd(5))} ${visible(message)}${said.join("")}`
}

/** Lines of one turn of the event loop go out in one write. */
const lines = () => {
  let waiting = ""
  const flush = () => {
    const text = waiting
    waiting = ""
    if (text !== "") process.stderr.write(text)
  }
  // On a full disk, or when nobody reads it any more, it is lost; without this the server would end
  process.stderr.on("error", () => {})
  process.on("exit", flush)
  return (line: string) => {
    if (waiting === "") setImmediate(flush)
    waiting += `${line}\n`
  }
}

/** Whether something of a level is logged now. */
export const isLogged = (level: MutableRef.MutableRef<Level>) => (of: LogLevel.LogLevel): boolean =>
  LogLevel.isGreaterThanOrEqualTo(of, levels[MutableRef.get(level)])

/** Says which level is logged from now on, while that is still logged, or when it already is. Whether it is another one. */
export const change = (level: MutableRef.MutableRef<Level>, to: Level): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const from = MutableRef.get(level)
    if (from === to) return Effect.succeed(false)
    const said = Effect.annotateLogs(Effect.logInfo("log level changed"), { from, to })
    const set = Effect.sync(() => MutableRef.set(level, to))
    return Effect.as(isLogged(level)("Info") ? Effect.andThen(said, set) : Effect.andThen(set, said), true)
  })

/** What it looks like where nothing is said of that. */
export const defaultFormat = (): Exclude<Values["log-format"], undefined> =>
  process.stderr.isTTY === true ? "pretty" : "json"

/** @param level the least that is logged; may be set at any time */
export const layer = (format: Values["log-format"], level: MutableRef.MutableRef<Level>): Layer.Layer<never> => {
  const isColored = process.stderr.isTTY === true && (process.env["NO_COLOR"] ?? "") === "" &&
    process.env["TERM"] !== "dumb"
  const render = (format ?? defaultFormat()) === "pretty" ? pretty(isColored) : json
  const write = lines()
  const wanted = isLogged(level)
  const logger = Logger.make<unknown, void>(({ cause, date, fiber, logLevel, message }) => {
    if (!wanted(logLevel)) return
    const fields = { ...fiber.getRef(References.CurrentLogAnnotations) }
    if (cause.reasons.length > 0) fields["cause"] = Cause.pretty(cause)
    const words = Array.isArray(message) ? message.map(textOf).join(" ") : textOf(message)
    write(render({ time: date.toISOString(), level: logLevel.toLowerCase(), message: words, fields }))
  })
  return Layer.mergeAll(
    Logger.layer([logger]),
    Layer.succeed(References.MinimumLogLevel, "Debug"), // what is logged can change
    Layer.succeed(IsLogged, wanted)
  )
}
