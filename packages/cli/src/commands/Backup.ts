/** `cpt backup`: a copy of a server's messages, as they are at one moment. */
import { Database } from "@cpt/server"
import { Effect, Path } from "effect"
import { Argument, Command } from "effect/cli"
import * as Data from "../Data.ts"
import { failed } from "../Failure.ts"
import { Output } from "../Output.ts"
import { count } from "../Progress.ts"
import { visible } from "../Visible.ts"

const pagesPerMiB = 256

export const backup = Command.make(
  "backup",
  {
    file: Argument.String("FILE").pipe(Argument.withDescription("the copy; must not be there yet")),
    data: Data.flag
  },
  Effect.fnUntraced(function*({ data, file }) {
    const { note, progress } = yield* Output
    const to = (yield* Path.Path).resolve(file)
    const from = yield* Data.existing(data)
    const show = yield* Effect.context<never>()
    yield* Database.backup(from, to, ({ donePages, totalPages }) => {
      const [done, total] = [donePages, totalPages].map((pages) => count(Math.ceil(pages / pagesPerMiB)))
      Effect.runForkWith(show)(progress(`${done} of ${total} MiB copied`))
    }).pipe(
      Effect.ensuring(progress("")),
      Effect.mapError(({ message }) => failed(visible(`cannot copy ${from}: ${message}`)))
    )
    yield* note(visible(`${from} is copied to ${to}`))
  })
).pipe(
  Command.withShortDescription("Copy a server's messages to a file"),
  Command.withDescription(
    "Copy the messages of a server on this machine to a file, also while it runs: everything that was acknowledged before, as it is at one moment. To restore them, put the file into a directory as messages.db."
  ),
  Command.withExamples([
    { command: "cpt backup chat.db", description: "Copy what \"cpt serve\" keeps" },
    { command: "cpt backup --data ~/chat /backups/$(date +%F).db", description: "A copy a day, of another directory" }
  ])
)
