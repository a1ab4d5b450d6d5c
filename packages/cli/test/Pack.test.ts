/**
 * The packages as they are published: packed, installed where nothing of this repository is, and used there. Nothing comes
 * from the registry: the command line has no dependencies, and for the libraries Effect is linked in.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { glob, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { publint } from "publint"

const execute = promisify(execFile)
const root = fileURLToPath(new URL("../../../", import.meta.url))
const packages = ["schema", "server", "client", "conformance", "cli"]

let work = ""

/** Where somebody has installed `cpt`, and somebody else the libraries. */
const at = (...path: ReadonlyArray<string>) => join(work, ...path)

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "cpt-pack-"))
  await execute(join(root, "node_modules/.bin/tsc"), ["-b", "tsconfig.build.json"], { cwd: root })
  await execute("npm", [
    "pack",
    "--silent",
    "--pack-destination",
    work,
    ...packages.map((name) => `./packages/${name}`)
  ], {
    cwd: root
  })

  await mkdir(at("user"))
  await writeFile(at("user/package.json"), "{}")
  const offline = ["--offline", "--no-audit", "--no-fund", "--silent"]
  await execute("npm", ["install", ...offline, at("cpt-0.1.0.tgz")], { cwd: at("user") })

  for (const name of ["schema", "server", "client", "conformance"]) {
    await mkdir(at("author/node_modules/@cpt", name), { recursive: true })
    const to = at("author/node_modules/@cpt", name)
    await execute("tar", ["xzf", at(`cpt-${name}-0.1.0.tgz`), "--strip-components=1", "-C", to])
  }
  for (const name of ["effect", "@effect/platform-node", "@types/node"]) {
    await mkdir(dirname(at("author/node_modules", name)), { recursive: true })
    await symlink(join(root, "node_modules", name), at("author/node_modules", name))
  }
  await writeFile(at("author/package.json"), JSON.stringify({ type: "module" }))
  return () => rm(work, { recursive: true, force: true })
})

describe("the packed cpt", () => {
  const bin = () => at("user/node_modules/.bin/cpt")

  it("has a bundle for clients, with nothing in it of what a server or its administration needs", async () => {
    const dist = at("user/node_modules/cpt/dist")
    const textOf = async (folder: string) => {
      const files = (await readdir(folder)).filter((name) => name.endsWith(".cjs"))
      return (await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")))).join("")
    }
    for (const word of ["HttpApi", "node:sqlite", "node:http"]) {
      assert.include(await textOf(dist), word)
      assert.notInclude(await textOf(join(dist, "clients")), word)
    }
  })
  const cpt = (...args: ReadonlyArray<string>) => execute(bin(), args, { cwd: at("user") })

  it("has a version, and needs no other package", async () => {
    const { stdout } = await execute("npx", ["--no-install", "cpt", "--version"], { cwd: at("user") })
    assert.match(stdout, /^cpt v\d+\.\d+\.\d+\n$/)
    const { packages } = JSON.parse(await readFile(at("user/node_modules/.package-lock.json"), "utf8"))
    assert.deepStrictEqual(Object.keys(packages), ["node_modules/cpt"])
  })

  it("hosts a chat on disk, sends to it, reads and follows it, copies and checks it", async () => {
    const server = spawn(bin(), ["serve", "--port", "0", "--data", at("data")], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    try {
      const [line] = await once(createInterface(server.stdout), "line")
      const [, address = ""] = /listening on (\S+);/.exec(String(line)) ?? []
      const to = ["--server", address, "--as", "alice"]
      await cpt("send", "group1", "hi", ...to)
      for (const reading of [["sync", "group1"], ["tail", "group1", "--count", "1"]]) {
        const { stdout } = await cpt(...reading, "--json", ...to)
        assert.strictEqual(JSON.parse(stdout).message, "hi")
      }
      await cpt("backup", at("copy.db"), "--data", at("data"))
      assert.match((await cpt("check", at("copy.db"))).stdout, /all is well\n1 message /)
      server.kill("SIGTERM")
      assert.deepStrictEqual(await once(server, "exit"), [0, null])
    } finally {
      server.kill("SIGKILL")
    }
  })

  it("keeps what V8 has compiled, for its owner alone, and starts without it where it cannot", async () => {
    const run = (cache: string) =>
      execute(bin(), ["--version"], { env: { PATH: process.env["PATH"], HOME: at("nowhere"), XDG_CACHE_HOME: cache } })
    const before = await run(at("cache"))
    const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)
    assert.strictEqual(await modeOf(at("cache/cpt")), "700")
    const kept = await readdir(at("cache/cpt"))
    assert.deepStrictEqual(await Promise.all(kept.map((name) => modeOf(at("cache/cpt", name)))), ["600"])
    assert.deepStrictEqual(await run(at("cache")), before)
    await writeFile(at("no-folder"), "")
    assert.deepStrictEqual(await run(at("no-folder")), before)
  })

  it("has source maps to what was written", async () => {
    await writeFile(
      at("hook.cjs"),
      `const os = require("node:os"); os.homedir = () => { console.error(new Error("here").stack); return "/nonexistent" }`
    )
    const flags = ["--enable-source-maps", "--require", at("hook.cjs")]
    const failing = execute(process.execPath, [...flags, bin(), "send", "g", "hi", "--server", "127.0.0.1:1"])
    const stderr = await failing.then(() => "", (error) => String(error.stderr))
    assert.match(stderr, /Error: here[^]*\/cpt\/src\/Settings\.ts:\d+:\d+/)
  })

  it("loads nothing of the server for a command of a client", async () => {
    await writeFile(
      at("loaded.cjs"),
      `process.on("exit", () => console.error(process.moduleLoadList.filter((name) => /^NativeModule.*(?:sqlite|worker_threads|tls|crypto)/.test(name)).join()))`
    )
    const flags = ["--require", at("loaded.cjs")]
    const sending = execute(process.execPath, [...flags, bin(), "send", "g", "hi", "--server", "127.0.0.1:1"])
    const stderr = await sending.then(() => "", (error) => String(error.stderr))
    assert.match(stderr, /connection refused.*\n\n$/)
  })
})

/** Compiles modules of somebody who has installed the libraries. */
const compile = async (...args: ReadonlyArray<string>) => {
  const options = ["--module", "nodenext", "--moduleResolution", "nodenext", "--strict", "--skipLibCheck"]
  const tsc = execute(join(root, "node_modules/.bin/tsc"), [...options, "--target", "es2024", ...args], {
    cwd: at("author")
  })
  await tsc.catch((error) => assert.fail(String(error.stdout)))
}

describe("the packed libraries", () => {
  const program = `
    import { CptClient } from "@cpt/client"
    import { cases, select } from "@cpt/conformance"
    import { Command, Limits } from "@cpt/schema"
    import { Accounts, layerMemory, Listener, Server } from "@cpt/server"
    import { Effect, Layer } from "effect"
    const server = Server.layer(Listener.tcp({ port: 0 })).pipe(Layer.provide([Accounts.layerOpen, layerMemory()]))
    const port: number = Limits.defaultPort
    const line: string = Command.clientLine(new Command.SyncInbox({}))
    const send = Effect.flatMap(CptClient.connect({ username: "alice", port }), (client) => client.send("group1", line))
    // @ts-expect-error A port is a number: what is imported has types
    CptClient.connect({ username: "alice", port: line })
    const picked: number = select(cases, { profiles: [], ids: ["send/4.1/each"] }).length
    console.log(Layer.isLayer(server), Effect.isEffect(send), line, picked)
  `

  it("run, and have types, for a module of its own", async () => {
    await writeFile(at("author/program.ts"), program)
    await compile("program.ts")
    const { stdout } = await execute(process.execPath, ["program.js"], { cwd: at("author") })
    assert.strictEqual(stdout, "true true SYNC 1\n")
  })

  it("are their dist also where somebody's own packages have a condition called source", async () => {
    const names: Array<string> = []
    for (const folder of packages) {
      const { exports, name } = JSON.parse(await readFile(join(root, "packages", folder, "package.json"), "utf8"))
      for (const path of Object.keys(exports)) if (!path.endsWith(".json")) names.push(join(name, path))
    }
    assert.include(names, "@cpt/server/ServerConfig")
    const program = `console.log(${JSON.stringify(names)}.map((name) => import.meta.resolve(name)).join("\\n"))`
    const flags = ["--conditions=source", "--input-type=module", "--eval"]
    const { stdout } = await execute(process.execPath, [...flags, program], { cwd: at("author") })
    for (const url of stdout.trim().split("\n")) assert.match(url, /\/dist\/.*\.js$/)
  })

  it("load no SQLite, of which Node 22 warns, until a database is opened", async () => {
    const program = `
      import { Database } from "@cpt/server"
      import { Effect } from "effect"
      const isLoaded = () => process.moduleLoadList.includes("NativeModule sqlite")
      console.log(isLoaded(), await Effect.runPromise(Effect.flip(Database.check("nowhere.db"))).then(isLoaded))
    `
    const { stdout } = await execute(process.execPath, ["--input-type=module", "--eval", program], {
      cwd: at("author")
    })
    assert.strictEqual(stdout, "false true\n")
  })

  it("are used in the documents as they are", async () => {
    const files: Array<string> = []
    for await (const document of glob(["*.md", "docs/*.md", "packages/*/README.md"], { cwd: root })) {
      const text = await readFile(join(root, document), "utf8")
      for (const { 1: block = "", index } of text.matchAll(/^```ts\n(.*?)^```$/gms)) {
        const line = text.slice(0, index).split("\n").length
        const file = `${document.replaceAll("/", "_")}_line_${line}.ts`
        const isProperty = /^"[^"]*": /.test(block)
        await writeFile(at("author", file), isProperty ? `export const object = {\n${block}}\n` : `${block}export {}\n`)
        files.push(file)
      }
    }
    assert.isAtLeast(files.length, 6)
    await compile("--noEmit", "--types", "node", ...files)
  })
})

describe("the types of the packed libraries", () => {
  /** What programs export without saying of what type it is. */
  const programs = {
    schema: `
      import { Command, Decline, Framer } from "@cpt/schema"
      export const read = Command.readClientLine("x")
      export const heard = Command.readServerLine("x")
      export const reason = Decline.fromReason("x")
      export const lines = new Framer.Framer(1).push(new Uint8Array())
    `,
    client: `
      import { CptClient } from "@cpt/client"
      import { Effect } from "effect"
      export const client = CptClient.connect({ username: "alice" })
      export const layer = CptClient.layer({ username: "alice" })
      export const sent = Effect.flatMap(client, ({ send }) => send("group1", "hi"))
      export const follow = Effect.map(CptClient, ({ follow }) => follow(["group1"]))
    `,
    server: `
      import { Accounts, Admin, Credentials, Database, Keeper, layerSqlite, Listener, Metrics } from "@cpt/server"
      import { MessageStore, Probes, Program, Server } from "@cpt/server"
      import { Effect, Layer } from "effect"
      export const server = Server.layer(Listener.tcp({ port: 0 }), Listener.unix("/x"))
      export const composed = Layer.mergeAll(Admin.layerUnix("/x"), Probes.layerTcp({ host: "", port: 0 })).pipe(
        Layer.provideMerge(server),
        Layer.provide([Accounts.layerDatabase, Program.layerNone]),
        Layer.provide(layerSqlite({ file: "x" }))
      )
      export const sessions = Effect.map(Server, (server) => Array.from(server.sessions(0)))
      export const groups = Effect.map(MessageStore, (store) => store.groups(""))
      export const rights = Effect.map(Accounts, (accounts) => accounts.declared.rights)
      export const services = Effect.all([Server, MessageStore, Accounts, Keeper, Program, Metrics.Metrics])
      export const credentials = Credentials.fromFiles({ cert: "x", key: "y" })
      export const check = Database.check("x")
    `,
    admin: `
      import { AdminClient } from "@cpt/server/admin"
      import { Effect } from "effect"
      export const admin = AdminClient.make({ path: "/x" })
      export const status = Effect.flatMap(admin, (client) => client.server.status())
      export const change = Effect.map(admin, (client) => client.declaredGroups.change)
    `,
    conformance: `
      import { cases, clientCases, select, start, startClient } from "@cpt/conformance"
      export const picked = select(cases, { profiles: [], ids: [] })
      export const kit = { cases, clientCases, start, startClient }
    `
  }

  it.each(Object.entries(programs))("can be named in a program's own declarations: %s", async (name, program) => {
    await writeFile(at(`author/${name}.ts`), program)
    await compile("--declaration", "--emitDeclarationOnly", `${name}.ts`)
  })
})

describe("each package", () => {
  it.each(packages)("publishes what it promises: %s", async (name) => {
    const { messages } = await publint({ pkgDir: join(root, "packages", name), level: "suggestion", pack: "npm" })
    assert.deepStrictEqual(messages, [])
  })

  it.each(packages)("has its licence with it, and a README that leads nowhere outside: %s", async (name) => {
    const folder = name === "cli" ? at("user/node_modules/cpt") : at("author/node_modules/@cpt", name)
    assert.strictEqual(await readFile(join(folder, "LICENSE"), "utf8"), await readFile(join(root, "LICENSE"), "utf8"))
    assert.notInclude(await readFile(join(folder, "README.md"), "utf8"), "](..")
  })
})
