#!/usr/bin/env node
// Runs the built cpt. Written so that every Node from 10 on can read it: one that is too old must be able to say so.
var version = process.versions.node.split(".").map(Number)

if (version[0] < 22 || (version[0] === 22 && version[1] < 19)) {
  console.error(
    "cpt: Node 22.19 or newer is needed, this is " + process.versions.node + ": get it from https://nodejs.org"
  )
  process.exit(1)
}

if (version[0] < 24) {
  // Node 22 calls its SQLite an experiment, on stderr, where a script expects what went wrong
  var emitWarning = process.emitWarning
  process.emitWarning = function(warning, type) {
    if (type !== "ExperimentalWarning" || !/SQLite/.test(warning)) emitWarning.apply(process, arguments)
  }
}

// Each command runs other functions, and help and version none of the command's own
var args = process.argv.slice(2)
var isHelp = args.length === 0 || args.some(function(arg) {
  return /^(?:--help|-h|--version|-v)$/.test(arg)
})
var command = isHelp ? "help" : /^[a-z]+$/.test(args[0]) ? args[0] : "cpt"
// Those that start often have a bundle of their own, without what writes completions
var isClient = args.length === 0 ||
  (/^(?:send|sync|tail|--help|-h)$/.test(args[0]) && args.indexOf("--completions") === -1)

// V8 lets its young generation grow to some 30 MB where much is kept, as of thousands of logins. With 12 MB a connection
// takes a quarter less memory (9 KB instead of 12), and nothing gets slower. It looks through its whole heap whenever 12 MB
// have come, and counts buffers too, so that messages of 8 KB make it do that ten times a second, for a fifth of the time;
// where the heap may have 64 MB before it does, they take a fifth less. What has lived long while the server started, it
// makes old from the beginning, and so keeps all that is young around it, of each connection. And where there is no other
// core, its four threads for garbage and for fast code take 80 % of the only one, at times for 0.1 s; one takes half. And
// SIGUSR1 would open a debugger, to everybody on the machine. It can only be said when Node starts, so Node starts once
// more, as the same process. Sockets that systemd has opened would be closed by that; its unit says it itself.
var isServer = command === "serve" && process.execve && process.platform !== "win32"
if (isServer && !process.env.LISTEN_FDS) {
  var others = require("os").availableParallelism() - 1
  var said = process.execArgv.join(" ") + process.env.NODE_OPTIONS
  var threads = "--v8-pool-size=" + Math.min(4, Math.max(1, others))
  var flags = [
    "--max-semi-space-size=4",
    "--initial-heap-size=64",
    "--no-allocation-site-pretenuring",
    threads,
    "--disable-sigusr1"
  ].filter(
    function(flag) {
      return said.indexOf(flag.split("=")[0]) === -1
    }
  )
  if (flags.length > 0) {
    process.execve(process.execPath, [process.execPath].concat(flags, process.execArgv, __filename, args))
  }
}

var fs = require("fs")
var path = require("path")
var vm = require("vm")

var dist = path.join(__dirname, "..", "dist", isClient ? "clients" : "")

if (!fs.existsSync(path.join(dist, "cpt.cjs"))) {
  console.error("cpt: not built yet: run `npm run build` in the project's top folder")
  process.exit(1)
}

// A short command like `cpt send` is mostly start-up, and a third of that would be compiling: so what V8 has made of a
// command is kept. Node's own cache (`enableCompileCache`) is taken before anything has run, and so without most
// functions; and it lies in a folder that all users of the machine share, though what is in it is run.
var folder = (function() {
  var home = process.env.XDG_CACHE_HOME || (process.env.HOME && path.join(process.env.HOME, ".cache"))
  if (!home || !path.isAbsolute(home) || process.env.NODE_DISABLE_COMPILE_CACHE) return undefined
  var folder = path.join(home, "cpt")
  try {
    if (!fs.existsSync(folder)) [home, folder].forEach(make)
    var status = fs.statSync(folder)
    if (process.getuid && (status.uid !== process.getuid() || (status.mode & 18) !== 0)) return undefined
    return folder
  } catch {
    return undefined
  }
})()

// Not with all that it is in: where there can be none, as in /proc, Node would try that for ever
function make(folder) {
  try {
    fs.mkdirSync(folder, { mode: 448 })
  } catch (error) {
    if (error.code !== "EEXIST") throw error
  }
}

var chunks = {}
var compiled = []

function load(name) {
  if (chunks[name]) return chunks[name].exports
  var chunk = chunks[name] = { exports: {} }
  var file = path.join(dist, name)
  var source = fs.readFileSync(file, "utf8") // it is ASCII, and Node has a shorter way for this
  // It begins with a comment, a hash of its text
  var key = [process.version, process.arch, command, source.slice(2, 18)].join("-")
  var cache = folder && path.join(folder, key)
  var script = new vm.Script("(function(exports, require, module, __filename, __dirname) {" + source + "\n})", {
    filename: file,
    cachedData: cache && read(cache)
  })
  if (cache && script.cachedDataRejected !== false) compiled.push({ cache: cache, script: script })
  script.runInThisContext().call(chunk.exports, chunk.exports, requireOf, chunk, file, dist)
  return chunk.exports
}

function requireOf(id) {
  return id.startsWith("./") ? load(id.slice(2)) : require(id)
}

function read(file) {
  try {
    return fs.readFileSync(file)
  } catch {
    return undefined
  }
}

var month = 30 * 86400 * 1000

function keep() {
  try {
    compiled.forEach(function(entry) {
      var temporary = entry.cache + "." + process.pid
      // V8 believes what it reads, so it must not be half on disk when the power goes
      fs.writeFileSync(temporary, entry.script.createCachedData(), { mode: 384, flush: true })
      fs.renameSync(temporary, entry.cache)
    })
    // Of older versions
    fs.readdirSync(folder).forEach(function(name) {
      var file = path.join(folder, name)
      if (Date.now() - fs.statSync(file).mtimeMs > month) fs.unlinkSync(file)
    })
  } catch {
    // The next time, then
  }
}

if (process.sourceMapsEnabled) {
  // Node maps only what it has loaded itself
  require(path.join(dist, "cpt.cjs"))
} else {
  // A command that failed has not shown what it needs; one that was interrupted has
  process.on("exit", function(status) {
    if (compiled.length > 0 && (status === 0 || status > 128)) keep()
  })
  load("cpt.cjs")
}
