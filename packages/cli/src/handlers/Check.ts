/** `cpt check`: whether what a server has on disk is right. */
import { Database } from "@cpt/server"
import { Effect, Option, Path } from "effect"
import type { Input } from "../commands/Check.ts"
import * as Data from "../Data.ts"
import { failed, silent, usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import { count, counted } from "../Progress.ts"
import { visible } from "../Visible.ts"

const time = (timestamp: number) => new Date(timestamp).toISOString()

/** A report for people. */
const print = (file: string, report: Database.Report): string => {
  const { accounts, bytes, declaredGroups, first, groups, last, messages, open, problems, users } = report
  const lines = [
    `${file}: ${
      problems.length === 0 ? "all is well" : counted(problems.length, "thing is wrong", "things are wrong")
    }`,
    messages === 0
      ? "no messages"
      : `${counted(messages, "message")} (${counted(bytes, "byte")} of text) from ${time(first)} to ${time(last)}`,
    `${counted(groups, "group")}, ${counted(users, "inbox", "inboxes")}, ${
      counted(open, "name that has", "names that have")
    } only been sent to`,
    ...accounts + declaredGroups > 0
      ? [`declared: ${counted(accounts, "account")}, ${counted(declaredGroups, "group")}`]
      : [],
    ...problems
  ]
  return lines.map((line) => `${visible(line)}\n`).join("")
}

export const check = Effect.fnUntraced(function*({ data, file, json }: Input) {
  const { progress, tell } = yield* Output
  const path = yield* Path.Path
  if (Option.contains(file, "")) return yield* usage("\"\": expected a file")
  const from = yield* (Option.isSome(file) ? Data.databaseAt(path.resolve(file.value)) : Data.existing(data))
  const report = yield* Database.check(
    from,
    ({ done, total }) => progress(done === 0 ? "checking ..." : `${count(done)} of ${count(total)} messages checked`)
  ).pipe(
    Effect.ensuring(progress("")),
    Effect.mapError(({ message }) => failed(visible(`cannot check ${from}: ${message}`)))
  )
  yield* tell(json ? `${JSON.stringify({ file: from, ...report })}\n` : print(from, report))
  if (report.problems.length > 0) return yield* silent("failed")
})
