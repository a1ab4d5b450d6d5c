/**
 * Installs the dependencies if they are not there: the first step of `npm start` and `npm test`.
 *
 * Runs on the Node that the machine happens to have, 18 or newer. The npm package `node`, one of the dependencies, puts
 * the Node that we need in front of the PATH of every npm script; so the steps after this one run on that.
 */
import { execSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

process.chdir(fileURLToPath(new URL("..", import.meta.url)))

const stamp = "node_modules/.cpt-installed"

/** Everything that decides what an installation holds. */
const wanted = () => {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`)
  const manifests = readdirSync("packages").map((name) => `packages/${name}/package.json`)
  for (const file of ["package.json", "package-lock.json", "examples/package.json", ...manifests]) {
    if (existsSync(file)) hash.update(file).update(readFileSync(file))
  }
  return hash.digest("hex")
}

/** Nothing has changed since the installation, and nobody has removed a part of it. */
const isInstalled = () => {
  try {
    if (readFileSync(stamp, "utf8") !== wanted()) return false
    const { packages } = JSON.parse(readFileSync("node_modules/.package-lock.json", "utf8"))
    return Object.keys(packages).every((path) => existsSync(path))
  } catch {
    return false
  }
}

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

if (!isInstalled()) {
  console.error("Installing dependencies; the first time this may take a minute ...")
  rmSync(stamp, { force: true })
  try {
    // Errors only: on an older Node npm warns about each package that wants a newer one, which is about to be installed.
    // Not saved: each version of npm would write a slightly different package-lock.json.
    execSync("npm install --no-save --include=dev --no-audit --no-fund --loglevel=error", { stdio: "inherit" })
  } catch {
    fail("Could not install the dependencies; npm says why above.")
  }
  const [major, minor] = execSync("node --version", { encoding: "utf8" }).slice(1).split(".").map(Number)
  if (major < 22 || (major === 22 && minor < 19)) {
    fail(
      "Node 22.19 or newer is needed, and the npm package `node` did not bring it: install it from https://nodejs.org"
    )
  }
  writeFileSync(stamp, wanted())
}
