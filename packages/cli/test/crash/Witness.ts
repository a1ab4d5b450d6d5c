/** Reads everything that a server has, while nothing else is under way, and that it keeps private what is private. */
import { type Client, login, type Told } from "./Client.ts"
import { type Hole, type Ledger, type Message, Violation } from "./Ledger.ts"
import { holeOf } from "./Reader.ts"
import { sleep, type World } from "./World.ts"

export interface Names {
  readonly groups: ReadonlyArray<string>
  readonly users: ReadonlyArray<string>
}

/** Of one target, in the order in which it was told. */
export type History = ReadonlyArray<Message | Hole>

/** The history of each target: of groups as somebody, of inboxes as those whose they are. */
export const readAll = async (world: World, port: number, { groups, users }: Names): Promise<Map<string, History>> => {
  const histories = new Map<string, Array<Message | Hole>>()
  const take = (message: Told) => {
    histories.get(message.target)?.push(holeOf(message) ?? message)
  }
  const sync = async (client: Client, target: string, line: string) => {
    histories.set(target, [])
    const answer = await client.ask(line)
    if (answer !== "ENDSYNC") throw new Violation(`${line} of ${client.name} was answered ${answer ?? "by nothing"}`)
  }
  await Promise.all([
    as(world, "witness", port, take, async (client) => {
      for (const group of groups) await sync(client, group, `SYNC ${group} 0`)
    }),
    ...users.map(async (user, index) =>
      as(world, user, port, take, async (client) => {
        await sync(client, user, index % 2 === 0 ? "SYNC" : `SYNC ${user} 0`)
      })
    )
  ])
  return histories
}

/** Users stay users, and groups groups, as long as they have messages (CPT 2.2), so nothing private gets public. */
export const checkNames = async (
  world: World,
  ledger: Ledger,
  port: number,
  { groups, users }: Names
): Promise<void> => {
  const said: Array<string> = []
  await as(
    world,
    "stranger",
    port,
    (message) => void said.push(`${message.sender} ${message.text}`),
    async (client) => {
      for (const user of users.filter((user) => !ledger.isEmpty(user))) {
        said.length = 0
        const answer = await client.ask(`SYNC ${user} 0`)
        if (answer !== "ENDSYNC" || said.length !== 1 || said[0]?.startsWith("system private: ") !== true) {
          throw new Violation(`a stranger asked for the inbox of ${user}: ${said.join("; ")} ${answer ?? ""}`)
        }
      }
    }
  )
  for (const group of groups.filter((group) => !ledger.isEmpty(group))) {
    const client = await login(world, group, port, () => {})
    if (client !== undefined) throw new Violation(`somebody could log in with the name of the group ${group}`)
  }
}

const as = async (
  world: World,
  name: string,
  port: number,
  onMessage: (message: Told) => void,
  use: (client: Client) => Promise<void>
): Promise<void> => {
  for (let attempt = 0; attempt < 100; attempt++) {
    const client = await login(world, name, port, onMessage)
    if (client !== undefined) {
      await use(client)
      return client.drop("close")
    }
    await sleep(20)
  }
  throw new Violation(`${name} could not log in`)
}
