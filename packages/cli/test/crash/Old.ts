/** A database as the first version of `cpt` wrote it: what a server finds that has been updated. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Ledger } from "./Ledger.ts"
import type { Random } from "./Random.ts"
import type { Names } from "./Witness.ts"

const schema = `
  CREATE TABLE names (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, head INTEGER NOT NULL,
    missing INTEGER NOT NULL, last_target INTEGER, last_timestamp INTEGER
  ) STRICT;
  CREATE TABLE messages (
    target INTEGER NOT NULL, timestamp INTEGER NOT NULL, sender INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (target, timestamp)
  ) WITHOUT ROWID, STRICT;
  PRAGMA application_id = ${0x43_50_54_31};
  PRAGMA user_version = 1;`

/** Makes it, with some messages in it, which are as good as ACKed. */
export const makeOld = (data: string, ledger: Ledger, random: Random, { groups, users }: Names): void => {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const db = new DatabaseSync(join(data, "messages.db"))
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN")
  db.exec(schema)
  const all = [...groups, ...users]
  const addName = db.prepare("INSERT INTO names (id, name, kind, head, missing) VALUES (?, ?, ?, 0, 0)")
  all.forEach((name, id) => addName.run(id + 1, name, groups.includes(name) ? 3 : 2))
  const addMessage = db.prepare("INSERT INTO messages (target, timestamp, sender, message) VALUES (?, ?, ?, ?)")
  const setHead = db.prepare("UPDATE names SET head = ? WHERE id = ?")
  const setLast = db.prepare("UPDATE names SET last_target = ?, last_timestamp = ? WHERE id = ?")
  const count = random.between(0, 300)
  const begin = Date.now() - random.pick([300_000, 10_000, 1000])
  for (let n = 0; n < count; n++) {
    const target = random.between(1, all.length)
    const sender = random.between(groups.length + 1, all.length)
    const text = `old ${n} ${"x".repeat(random.pick([0, 100, 2000]))}`
    ledger.acked(ledger.sending(all[sender - 1] ?? "", all[target - 1] ?? "", text))
    addMessage.run(target, begin + n, sender, text)
    setHead.run(begin + n, target)
    setLast.run(target, begin + n, sender)
  }
  db.exec("COMMIT")
  db.close()
}
