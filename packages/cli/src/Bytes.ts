/**
 * What was really said where Node puts U+FFFD for bytes that are not UTF-8, in arguments and in the environment: names and
 * messages are never repaired (CPT 1.2). It is to be seen on Linux.
 */
import { Buffer, isUtf8 } from "node:buffer"
import { existsSync, readFileSync } from "node:fs"

const said = (what: "cmdline" | "environ"): ReadonlyArray<string> | undefined =>
  existsSync(`/proc/self/${what}`) ? readFileSync(`/proc/self/${what}`, "latin1").split("\0").slice(0, -1) : undefined

const isRepaired = (latin1: string | undefined): boolean =>
  latin1 !== undefined && !isUtf8(Buffer.from(latin1, "latin1"))

/** The first argument that is not UTF-8, as Node has it. */
export const repairedArgument = (args: ReadonlyArray<string>): string | undefined => {
  if (!args.some((arg) => arg.includes("\ufffd"))) return undefined
  const bytes = said("cmdline")?.slice(-args.length)
  return args.find((_, index) => isRepaired(bytes?.[index]))
}

/** Whether a variable of the environment is not UTF-8, which has this value in Node. */
export const isRepairedVariable = (name: string, value: string): boolean =>
  value.includes("\ufffd") && isRepaired(said("environ")?.find((entry) => entry.startsWith(`${name}=`)))
