/**
 * What a server shows for itself, and whom it trusts: its certificate with the key, and the authorities of clients'
 * certificates. Files are looked at again and again: what is new in them is shown from then on; what is not right in them
 * is reported, and changes nothing.
 */
import { Clock, Duration, Effect, Fiber, Schema, type Scope, Semaphore } from "effect"
import type { Buffer } from "node:buffer"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { readFile, stat } from "node:fs/promises"
import { Handshake, type Pem } from "./Handshake.ts"

/** How often. Files have to look alike twice: they may be in the middle of being written. */
const lookEvery = Duration.millis(500)

/** How long the system may take for a file, where there are ones to go on with. */
const answersWithin = Duration.seconds(5)

/** They are not right: which of them, and why. */
export class CredentialsUnusable extends Schema.TaggedError<CredentialsUnusable>()("CredentialsUnusable", {
  which: Schema.Literals(["cert", "key", "clientCa"]),
  message: Schema.String
}) {}

const noAnswer = "the system does not answer, it cannot be read now"

/** Asks the system about a file. */
type Ask = <A>(
  which: CredentialsUnusable["which"],
  question: Effect.Effect<A, CredentialsUnusable>
) => Effect.Effect<A, CredentialsUnusable>

const patiently: Ask = (_, question) => question

/**
 * Fails when the answer takes too long. What hangs then goes on, with one of Node's few threads, so the next question waits
 * until that is over, or its own time is.
 */
const inTime = Effect.map(
  Semaphore.make(1),
  (one): Ask => (which, question) =>
    Effect.flatMap(
      Effect.forkDetach(one.withPermit(Effect.uninterruptible(question))),
      (asked) =>
        Effect.timeoutOrElse(Fiber.join(asked), {
          duration: answersWithin,
          orElse: () => {
            asked.interruptUnsafe()
            return Effect.fail(new CredentialsUnusable({ which, message: noAnswer }))
          }
        })
    )
)

export interface Credentials {
  readonly handshake: Handshake
}

/** Those of files. */
export interface FileCredentials extends Credentials {
  /** Reads the files and checks them; what it gives has them used, and says whether they are other ones than before. */
  readonly prepare: Effect.Effect<Effect.Effect<boolean>, CredentialsUnusable>
}

/** The names of files in PEM, as in `Pem`. */
export interface Files {
  readonly cert: string
  readonly key: string
  readonly clientCa?: string | undefined
}

const attempt = <A>(which: CredentialsUnusable["which"], act: () => A, expected?: string) =>
  Effect.try({
    try: act,
    catch: (error) =>
      new CredentialsUnusable({ which, message: expected ?? (error instanceof Error ? error.message : String(error)) })
  })

const certificateIn = (pem: Pem["cert"], which: "cert" | "clientCa") =>
  attempt(which, () => new X509Certificate(pem), "expected a certificate in PEM")

const keyIn = (pem: Pem["key"]) =>
  attempt("key", () => createPrivateKey(pem), "expected a private key in PEM, without a passphrase")

/** Whether they are what they should be, and belong together. */
const check = Effect.fnUntraced(function*(pem: Pem) {
  const certificate = yield* certificateIn(pem.cert, "cert")
  const key = yield* keyIn(pem.key)
  if (!certificate.checkPrivateKey(key)) {
    return yield* new CredentialsUnusable({ which: "key", message: "it is not the key of the certificate" })
  }
  if (pem.clientCa !== undefined) yield* certificateIn(pem.clientCa, "clientCa")
  return certificate
})

const usable = Effect.fnUntraced(function*(pem: Pem) {
  const certificate = yield* check(pem)
  return { certificate, handshake: yield* attempt("cert", () => new Handshake(pem)) } // what else OpenSSL may think of it
})

/** Those that are at hand. */
export const make = (pem: Pem): Effect.Effect<Credentials, CredentialsUnusable> =>
  Effect.map(usable(pem), ({ handshake }) => ({ handshake }))

const ofFiles = (files: Files) => Effect.flatMap(read(files), usable)

/** What clients have against a certificate though it is right; undefined if that is nothing. */
const doubtOf = (file: string, { validFrom, validTo }: X509Certificate): Effect.Effect<string | undefined> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const isYoung = now < Date.parse(validFrom)
    if (!isYoung && now <= Date.parse(validTo)) return undefined
    const why = isYoung ? `is not valid before ${validFrom}` : `has expired, on ${validTo}`
    return `the certificate in ${file} ${why}: clients that check it do not connect`
  })

/** The same of files that are as they should be. */
export const doubtOfFiles = (files: Files): Effect.Effect<string | undefined, CredentialsUnusable> =>
  Effect.flatMap(ofFiles(files), ({ certificate }) => doubtOf(files.cert, certificate))

const warn = (file: string, certificate: X509Certificate) =>
  Effect.flatMap(doubtOf(file, certificate), (doubt) => doubt === undefined ? Effect.void : Effect.logWarning(doubt))

/** All that is wrong with files as they are now: with each by itself, else with them together. */
export const faultsOf = Effect.fnUntraced(function*(
  files: Files
): Effect.fn.Return<ReadonlyArray<CredentialsUnusable>> {
  const { cert, clientCa, key } = files
  const [, faults] = yield* Effect.partition([
    Effect.flatMap(readOne("cert", cert), (pem) => certificateIn(pem, "cert")),
    Effect.flatMap(readOne("key", key), keyIn),
    clientCa === undefined
      ? Effect.void
      : Effect.flatMap(readOne("clientCa", clientCa), (pem) => certificateIn(pem, "clientCa"))
  ], (one) => one)
  if (faults.length > 0) return faults
  return yield* Effect.match(ofFiles(files), { onFailure: (fault) => [fault], onSuccess: () => [] })
})

/** Those of files, followed as long as the scope lasts. */
export const fromFiles = Effect.fnUntraced(function*(files: Files): Effect.fn.Return<
  FileCredentials,
  CredentialsUnusable,
  Scope.Scope
> {
  const ask = yield* inTime
  let used = yield* look(files, patiently)
  const { certificate, handshake } = yield* ofFiles(files)
  yield* warn(files.cert, certificate)

  const prepare = Effect.gen(function*() {
    const seen = yield* look(files, ask)
    const pem = yield* read(files, again(ask))
    const { certificate } = yield* usable(pem)
    return Effect.gen(function*() {
      const isNew = seen !== used
      handshake.use(pem)
      used = seen
      if (isNew) {
        yield* Effect.logInfo(`the certificate in ${files.cert} is new, and valid until ${certificate.validTo}`)
      }
      yield* warn(files.cert, certificate)
      return isNew
    })
  })

  const follow = Effect.gen(function*() {
    let [seen, tried, hangs] = [used, used, false]
    const round = Effect.gen(function*() {
      const before = seen
      seen = yield* look(files, ask)
      if (seen === before && seen !== used && seen !== tried) {
        tried = seen
        yield* Effect.flatten(prepare)
      }
      hangs = false
    })
    const report = ({ message, which }: CredentialsUnusable) => {
      const isSaid = hangs
      hangs = message === noAnswer
      if (hangs) tried = used // so they are tried again
      if (hangs && isSaid) return Effect.void
      return Effect.logError(`${files[which]}: ${message}; the certificate from before stays in use`)
    }
    yield* Effect.forever(Effect.andThen(Effect.sleep(lookEvery), Effect.catch(round, report)))
  })
  yield* Effect.forkScoped(follow)
  return { handshake, prepare }
})

type Read = (which: CredentialsUnusable["which"], file: string) => Effect.Effect<Buffer, CredentialsUnusable>

const read = (files: Files, one: Read = readOne): Effect.Effect<Pem, CredentialsUnusable> =>
  Effect.all({
    cert: one("cert", files.cert),
    key: one("key", files.key),
    clientCa: files.clientCa === undefined ? Effect.undefined : one("clientCa", files.clientCa)
  })

const reading = (which: CredentialsUnusable["which"], bytes: () => Promise<Buffer>) =>
  Effect.tryPromise({ try: bytes, catch: (error) => new CredentialsUnusable({ which, message: whyNot(error) }) })

/** Also a pipe, as a shell makes of `<(…)`. */
const readOne: Read = (which, file) => reading(which, () => readFile(file))

/** A pipe has said at the start what it had to say; to open it would take until somebody writes into it. */
const again = (ask: Ask): Read => (which, file) =>
  ask(
    which,
    reading(which, async () => {
      if (!(await stat(file)).isFile()) throw new Error("it is no file that can be read again")
      return readFile(file)
    })
  )

const whyNot = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  switch ("code" in error ? error.code : undefined) {
    case "ENOENT":
      return "there is no such file"
    case "EACCES":
      return "permission denied"
    default:
      return error.message
  }
}

/** Tells one state of the files from another, whatever they have been replaced by, and through links. */
const look = ({ cert, clientCa, key }: Files, ask: Ask): Effect.Effect<string, CredentialsUnusable> =>
  Effect.map(
    Effect.all([
      ask("cert", lookAt(cert)),
      ask("key", lookAt(key)),
      clientCa === undefined ? Effect.succeed("") : ask("clientCa", lookAt(clientCa))
    ]),
    (all) => all.join()
  )

const lookAt = (file: string): Effect.Effect<string> =>
  Effect.promise(() =>
    stat(file, { bigint: true }).then(
      (stats) => {
        if (!stats.isFile()) return "no file" // a pipe changes as it is read
        const { ctimeNs, dev, ino, mtimeNs, size } = stats
        return [dev, ino, size, mtimeNs, ctimeNs].join(" ")
      },
      () => "" // to say why is for who reads it
    )
  )
