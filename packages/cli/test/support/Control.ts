/**
 * `Control.ts SOCKET VERB …` does for the conformance kit what an administrator does, by the HTTP API: what the script in
 * docs/conformance.md does too, but that starts all of `cpt` each time, which is most of such a case.
 */
import { request } from "node:http"

const [socketPath, verb = "", first = "", ...rest] = process.argv.slice(2)

/** Whether it was done. */
const ask = (method: string, path: string, body: unknown) =>
  new Promise<boolean>((resolve, reject) => {
    const headers = { "content-type": "application/json" }
    const asked = request({ socketPath, method, path, headers }, (response) => {
      const { statusCode = 500 } = response.resume()
      resolve(statusCode < 300)
    })
    asked.once("error", reject)
    asked.end(JSON.stringify(body))
  })

const name = encodeURIComponent(first)
const account = `/account?name=${name}`
const group = `/declared-group?name=${name}`

const verbs: Readonly<Record<string, () => Promise<boolean>>> = {
  announce: () => ask("POST", "/announce", { text: first }),
  lock: () => ask("PATCH", account, { locked: true }),
  unlock: () => ask("PATCH", account, { locked: false }),
  "allow-ip": () => ask("PATCH", account, { ranges: rest }),
  members: () => ask("PATCH", group, { members: rest }),
  remove: async () => await ask("DELETE", account, {}) || await ask("DELETE", group, {})
}

process.exitCode = await verbs[verb]?.() === true ? 0 : 1
