/** The command line of a client under test: what it can do, and how it is told what to do. */

/**
 * - `send`: one message, to one target
 * - `lines`: the same for each line of stdin, over one connection
 * - `sync`: print what a group holds, and end
 * - `tail`: print that, and what comes, until it is stopped
 */
export const roles = ["send", "lines", "sync", "tail"] as const
export type Role = (typeof roles)[number]

export interface Command {
  readonly words: ReadonlyArray<string>
  /** What it can do, as far as its words tell. */
  readonly roles: ReadonlyArray<Role>
  /** Whether it is run as it stands; else what it is to do is put behind it. */
  readonly isWhole: boolean
}

/** What a client is told to do. */
export interface Order {
  readonly role: Role
  readonly host: string
  readonly port: number
  readonly user: string
  /** To whom it sends, or what it reads: a group, or its own name. */
  readonly target: string
  readonly message: string
}

const placeholder = /\{(host|port|server|user|do|target|group|message)\}/g

/** Whether a command line has the place for something. */
export const has = ({ words }: Pick<Command, "words">, name: string): boolean =>
  words.some((word) => word.includes(`{${name}}`))

/** Reads a command line; undefined if what it does cannot be told from it. */
export const read = (words: ReadonlyArray<string>, role: Role | undefined): Command | undefined => {
  if (role !== undefined) return { words, roles: [role], isWhole: true }
  if (has({ words }, "do")) return { words, roles, isWhole: true }
  const isFilled = has({ words }, "target") || has({ words }, "group")
  if (has({ words }, "message")) return { words, roles: ["send"], isWhole: true }
  const verb = words.find((word) => word === "send" || word === "sync" || word === "tail")
  if (verb === "send") return { words, roles: [isFilled ? "lines" : "send"], isWhole: true }
  if (verb === "sync" || verb === "tail") return { words, roles: [verb], isWhole: true }
  return isFilled ? undefined : { words, roles, isWhole: false }
}

const behind = ({ message, role, target }: Order): ReadonlyArray<string> =>
  role === "send" ? ["send", target, message] : [role === "lines" ? "send" : role, target]

/** The words of a command line that carries out an order. */
export const fill = ({ isWhole, words }: Command, order: Order): ReadonlyArray<string> => {
  const { host, message, port, role, target, user } = order
  const values: Readonly<Record<string, string>> = {
    host,
    port: String(port),
    server: `${host}:${port}`,
    user,
    do: role,
    target,
    group: target,
    message
  }
  const filled = words.map((word) => word.replaceAll(placeholder, (all, name: string) => values[name] ?? all))
  return isWhole ? filled : [...filled, ...behind(order)]
}

/** The same in the environment, as our own client reads it, and whoever likes. */
export const environment = (order: Order, timeout: number): Readonly<Record<string, string>> => ({
  CPT_SERVER: `${order.host}:${order.port}`,
  CPT_HOST: order.host,
  CPT_PORT: String(order.port),
  CPT_USERNAME: order.user,
  CPT_DO: order.role,
  CPT_TARGET: order.target,
  CPT_MESSAGE: order.message,
  CPT_TIMEOUT: `${timeout}ms`,
  CPT_TLS: "false",
  NO_COLOR: "1"
})

/** Whether the client is told the target and the message of the case; else what it says first is taken for it. */
export const tells = (command: Command, name: "target" | "message" | "user"): boolean =>
  !command.isWhole || has(command, name) || (name === "target" && has(command, "group"))
