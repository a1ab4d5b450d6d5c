/**
 * Installs the dependencies if they are not there: the first step of `npm start` and `npm test`.
 *
 * Runs on the Node that the machine happens to have, 18 or newer. One of the dependencies, the npm package `node`, puts
 * the Node that we need in front of the PATH of every npm script, so the steps after this one run on that.
 */
import { execSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

process.chdir(fileURLToPath(new URL("..", import.meta.url)))

/** Ours: what was installed. */
const stamp = "node_modules/.cpt-installed"
/** npm's: all that is in node_modules; the last thing that it writes. */
const installed = "node_modules/.package-lock.json"

/** Everything that decides what an installation holds. */
const wanted = () => {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`)
  const packages = readdirSync("packages").map((name) => `packages/${name}/package.json`)
  for (const file of ["package.json", "package-lock.json", "examples/package.json", ...packages]) {
    if (existsSync(file)) hash.update(file).update(readFileSync(file))
  }
  return hash.digest("hex")
}

const isNewEnough = (version) => {
  const [major, minor] = version.replace("v", "").split(".").map(Number)
  return major > 22 || (major === 22 && minor >= 19)
}

/** Nothing has changed since the installation, and nobody has removed a part of it. */
const isInstalled = () => {
  try {
    return isNewEnough(process.version) &&
      readFileSync(stamp, "utf8") === wanted() &&
      Object.keys(JSON.parse(readFileSync(installed, "utf8")).packages).every((path) => existsSync(path))
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
  // What is left of an interrupted installation: npm would take half a package for a whole one.
  if (!existsSync(installed)) rmSync("node_modules", { recursive: true, force: true })
  rmSync(stamp, { force: true })
  // Not saved: each version of npm would write a slightly different package-lock.json. Errors only: an older Node is
  // warned about each package that wants a newer one, which is on its way. Tries again once and at once: without a network
  // npm would say nothing for minutes, since it tries one package after the other, each for more than a minute.
  const options = "--no-save --include=dev --no-audit --no-fund --loglevel=error"
  const tries = "--fetch-retries=1 --fetch-retry-mintimeout=10 --fetch-retry-maxtimeout=10"
  try {
    execSync(`npm install ${options} ${tries}`, { stdio: "inherit" })
  } catch {
    fail("Could not install the dependencies; npm says why above.")
  }
  if (!isNewEnough(execSync("node --version", { encoding: "utf8" }))) {
    fail(
      `Node 22.19 or newer is needed, this is ${process.version}: get it from https://nodejs.org\n` +
        "(The npm package `node` brings it, if npm may run the install scripts of packages: then remove node_modules.)"
    )
  }
  writeFileSync(stamp, wanted())
}
