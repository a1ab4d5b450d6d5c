/**
 * What it means that a signal ended the process: for a command, that it was cut short (130, 143); for a server, which runs
 * until it is told to stop, that it is done (0). `bin.ts` asks when all is over.
 */
let done = false

/** From now on a signal is how this command is meant to end. */
export const isHowThisEnds = (): void => {
  done = true
}

/** The exit status of a process that a signal has ended. */
export const exitStatus = (signal: "SIGINT" | "SIGTERM"): number => done ? 0 : signal === "SIGINT" ? 130 : 143
