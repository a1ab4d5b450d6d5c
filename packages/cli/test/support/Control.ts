/**
 * `Control.ts FOLDER VERB …` does for the conformance kit what an administrator does, by the HTTP API: what the script in
 * docs/conformance.md does too, but that starts all of `cpt` each time, which is most of such a case.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"

const [folder = "", verb = "", first = "", ...rest] = process.argv.slice(2)
const at = (name: string) => join(folder, name)

/** Whether it was done. */
const ask = (method: string, path: string, body: unknown) =>
  new Promise<boolean>((resolve, reject) => {
    const headers = { "content-type": "application/json" }
    const asked = request({ socketPath: at("admin.sock"), method, path, headers }, (response) => {
      const { statusCode = 500 } = response.resume()
      resolve(statusCode < 300)
    })
    asked.once("error", reject)
    asked.end(JSON.stringify(body))
  })

/** The server has these settings, beside its flags. */
const has = (settings: unknown) => {
  writeFileSync(at("serve.json"), JSON.stringify(settings))
  return ask("POST", "/reload", {})
}

/** As long as its files can grow up to here only, it can write nothing. */
const hasRoom = (bytes: "0" | "unlimited") =>
  spawnSync("prlimit", ["--pid", readFileSync(at("pid"), "utf8").trim(), `--fsize=${bytes}:`]).status === 0

const refusals: Readonly<Record<string, () => boolean | Promise<boolean>>> = {
  unknown_target: () => has({ groups: "known" }),
  rate_limited: () => has({ "max-new-names": 5 }),
  server_full: () => has({ "max-sessions": 1 }),
  idle_timeout: () => has({ "idle-deadline": "2s" }),
  too_many_connections: () => has({ "max-sessions-per-address": 10, exempt: "none" }),
  storage_unavailable: () => existsSync(at("data")) && hasRoom("0")
}

const name = encodeURIComponent(first)
const account = `/account?name=${name}`
const group = `/declared-group?name=${name}`

const verbs: Readonly<Record<string, () => boolean | Promise<boolean> | undefined>> = {
  announce: () => ask("POST", "/announce", { text: first }),
  lock: () => ask("PATCH", account, { locked: true }),
  unlock: () => ask("PATCH", account, { locked: false }),
  "allow-ip": () => ask("PATCH", account, { ranges: rest }),
  members: () => ask("PATCH", group, { members: rest }),
  refuse: () => refusals[first]?.(),
  accept: () => first === "storage_unavailable" ? hasRoom("unlimited") : has({}),
  remove: async () => await ask("DELETE", account, {}) || await ask("DELETE", group, {})
}

process.exitCode = await verbs[verb]?.() === true ? 0 : 1
