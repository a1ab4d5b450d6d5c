#!/usr/bin/env node
// Runs the built cpt. Written so that every Node from 10 on can read it, as a script or as a module: one that is too old
// must be able to say so.
var version = process.versions.node.split(".").map(Number)

if (version[0] < 22 || (version[0] === 22 && version[1] < 19)) {
  console.error(
    "cpt: Node 22.19 or newer is needed, this is " + process.versions.node + ": get it from https://nodejs.org"
  )
  process.exit(1)
}

// Compiled code is kept between runs: a short command like `cpt send` is mostly start-up.
process.getBuiltinModule("node:module").enableCompileCache()

import("../dist/bin.js").catch(function(error) {
  if (!String(error.url).endsWith("/dist/bin.js")) throw error
  console.error("cpt: not built yet: run `npm run build` in the project's top folder")
  process.exit(1)
})
