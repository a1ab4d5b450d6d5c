/**
 * Makes packages/cli/dist of the sources of all packages and of what they import: a command line that starts fast, in
 * few files, which loads nothing that the command at hand does not use. Does nothing if nothing has changed.
 */
import { createHash } from "node:crypto"
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const dist = join(root, "packages/cli/dist")

/** The files that the bundle was made of, with their times and sizes. */
const stamp = join(dist, ".inputs.json")

const stateOf = (file) => {
  const { mtimeMs, size } = statSync(join(root, file))
  return `${mtimeMs} ${size}`
}

const isFresh = () => {
  try {
    return Object.entries(JSON.parse(readFileSync(stamp, "utf8"))).every(([file, state]) => stateOf(file) === state)
  } catch {
    return false
  }
}

/**
 * Of Node's own modules, those that Effect's code for Node imports though few who use it need them, and that take long
 * to load (node:tls 6 ms): what is imported of them is fetched when it is called.
 */
const onDemand = {
  name: "on-demand",
  resolveId: (source, importer = "") =>
    /^node:(?:tls|crypto)$/.test(source) && importer.includes("node_modules") ? `\0${source}` : undefined,
  load: (id) => {
    if (!id.startsWith("\0node:")) return undefined
    const name = id.slice(1)
    const functions = Object.entries(process.getBuiltinModule(name)).filter(([, value]) => typeof value === "function")
    return functions.map(([key]) =>
      `export const ${key} = (...args) => process.getBuiltinModule("${name}").${key}(...args)`
    ).join("\n")
  }
}

/** What `effect/cli` has for commands that ask questions. None of ours does, and it would be a tenth of what is loaded. */
const without = {
  name: "without",
  load: (id) => /\/effect\/dist\/cli\/(?:Prompt|internal\/wizard)\.js$/.test(id) ? "export {}" : undefined
}

const noHash = "0".repeat(16)

/** A single character that is none of ASCII would make V8 keep all of a file in two bytes each. */
const escaped = (code) =>
  code.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/**
 * Each file is ASCII, and begins with a hash of the rest: `bin/cpt.cjs` keeps what V8 makes of a file under that name,
 * since V8 itself only compares lengths.
 */
const identified = {
  name: "identified",
  generateBundle: (_, files) => {
    for (const file of Object.values(files)) {
      if (file.type !== "chunk") continue
      file.code = escaped(file.code)
      const hash = createHash("sha256").update(file.code).digest("hex")
      file.code = file.code.replace(noHash, hash.slice(0, noHash.length))
    }
  }
}

/**
 * For a script's loop: the commands that are clients, and the help, by themselves. In one bundle with the others they would
 * carry whatever of a module anybody uses, such as what an HTTP API needs of Schema: a fifth of the main file.
 */
const othersAlone = [
  /\/cli\/src\/commands\/(?!(?:Send|Sync|Tail|GroupArgument)\.ts$)\w+\.ts$/,
  /\/effect\/dist\/cli\/internal\/completions\// // `bin/cpt.cjs` looks for them in the other bundle
]
const clientsOnly = {
  name: "clients-only",
  load: (id) => othersAlone.some((file) => file.test(id)) ? "export {}" : undefined
}

/** Writes what `input` says, and what that imports. Gives the names of all files that are in it. */
const bundle = async (input, output, plugins = []) => {
  const { rolldown } = await import("rolldown")
  const build = await rolldown({
    input,
    cwd: root,
    platform: "node",
    resolve: { conditionNames: ["@cpt/source", "import", "node", "default"] },
    plugins: [onDemand, without, ...plugins, identified],
    transform: {
      define: { "import.meta.env": "undefined" },
      // Node takes 15 ms to load what Intl.Segmenter needs, and `effect/cli` makes one at every start, to lay out help
      inject: { "Intl.Segmenter": [join(root, "scripts/Segmenter.mjs"), "Segmenter"] }
    },
    // Of what is left out, there are no exports
    onLog: (level, log, handle) => log.code === "IMPORT_IS_UNDEFINED" ? undefined : handle(level, log)
  })
  const { output: files } = await build.write({ ...output, minify: true, sourcemap: true, postBanner: `//${noHash}` })
  for (const { fileName } of files) {
    if (fileName.endsWith(".map")) forgetOthers(join(output.dir, fileName))
  }
  return files.flatMap((file) => file.type === "chunk" ? file.moduleIds : [])
}

/** The text of others' sources would be nine tenths of a map. */
const forgetOthers = (file) => {
  const { sources, sourcesContent, ...map } = JSON.parse(readFileSync(file, "utf8"))
  const kept = sourcesContent.map((text, i) => sources[i].includes("node_modules") ? null : text)
  writeFileSync(file, JSON.stringify({ ...map, sources, sourcesContent: kept }))
}

/** What of others is in the bundle goes with its licence. */
const licences = (files) => {
  const folders = files.map((file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]).filter(Boolean)
  return [...new Set(folders)].toSorted().map((folder) => {
    const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    return `${name} ${version}\n\n${readFileSync(join(folder, "LICENSE"), "utf8")}`
  }).join(`\n${"-".repeat(80)}\n\n`)
}

/** The command line. What every command needs is one file, and what all clients need; the rest is loaded on demand. */
const command = (dir) => [{ cpt: "packages/cli/src/bin.ts" }, {
  dir,
  // Node starts it faster than a module
  format: "cjs",
  entryFileNames: "[name].cjs",
  chunkFileNames: "[name]-[hash].cjs",
  codeSplitting: {
    groups: [
      { name: "main", test: /\/cli\/src\/(?:bin|Flags)\.ts$|\/effect\/dist\/cli\/Argument\.js$/, priority: 2 },
      {
        name: "client",
        test: /\/cli\/src\/(?:Arguments|Session|Settings|(?:commands|handlers)\/Send)\.ts$/,
        priority: 1
      }
    ]
  }
}]

const make = async () => {
  rmSync(dist, { recursive: true, force: true })
  const cpt = await bundle(...command(dist))
  await bundle(...command(join(dist, "clients")), [clientsOnly])
  // Where MessageStore/Sqlite.ts looks for it
  const thread = await bundle({ Thread: "packages/server/src/MessageStore/sqlite/Thread.ts" }, {
    dir: join(dist, "sqlite"),
    format: "esm"
  })
  const files = [...new Set([...cpt, ...thread])].filter((file) => existsSync(file))
  writeFileSync(join(dist, "LICENSES.txt"), licences(files))
  const others = ["package-lock.json", "scripts/bundle.mjs", "packages/cli/package.json"]
  const ours = files.filter((file) => !file.includes("node_modules")).map((file) => file.slice(root.length))
  writeFileSync(stamp, JSON.stringify(Object.fromEntries([...ours, ...others].map((file) => [file, stateOf(file)]))))
}

if (!isFresh()) await make()
