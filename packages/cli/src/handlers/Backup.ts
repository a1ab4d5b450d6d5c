/** `cpt backup`: a copy of a server's messages, as they are at one moment. */
import { Database } from "@cpt/server"
import { Effect, Path } from "effect"
import type { Input } from "../commands/Backup.ts"
import * as Data from "../Data.ts"
import { failed, usage } from "../Failure.ts"
import { Output } from "../Output.ts"
import { count } from "../Progress.ts"
import { visible } from "../Visible.ts"

const pagesPerMiB = 256

export const backup = Effect.fnUntraced(function*({ data, file }: Input) {
  const { note, progress } = yield* Output
  if (file === "") return yield* usage("\"\": expected a file")
  const to = (yield* Path.Path).resolve(file)
  const from = yield* Data.existing(data)
  const show = yield* Effect.context<never>()
  yield* Database.backup(from, to, ({ donePages, totalPages }) => {
    const [done, total] = [donePages, totalPages].map((pages) => count(Math.ceil(pages / pagesPerMiB)))
    const isCopied = donePages === totalPages
    Effect.runForkWith(show)(progress(isCopied ? "checking the copy ..." : `${done} of ${total} MiB copied`))
  }).pipe(
    Effect.ensuring(progress("")),
    Effect.mapError(({ message }) => failed(visible(`cannot copy ${from}: ${message}`)))
  )
  yield* note(visible(`${from} is copied to ${to}`))
})
