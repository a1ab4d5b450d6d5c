/**
 * The certificate that a client has shown, and TLS has verified: issued by an authority that the operator trusts, and the
 * client has its key. Who it stands for is for account rules to say: an account may need one that is `Required`.
 */
import { Effect, Result, Schema, SchemaIssue, SchemaTransformation } from "effect"

export interface Certificate {
  /** SHA-256 of the certificate: 64 hexadecimal digits, in lower case, without colons. */
  readonly fingerprint: string
  /** The attributes of its subject, such as `{ CN: ["bob"], O: ["Example"] }`. */
  readonly subject: Readonly<Record<string, ReadonlyArray<string>>>
}

/** What Node tells of a peer's certificate. */
export interface Shown {
  readonly fingerprint256: string
  readonly subject: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
}

export const fromShown = ({ fingerprint256, subject }: Shown): Certificate => ({
  fingerprint: digitsOf(fingerprint256),
  subject: Object.fromEntries(
    Object.entries(subject).map(([attribute, value = []]) => [attribute, typeof value === "string" ? [value] : value])
  )
})

const digitsOf = (fingerprint: string): string => fingerprint.replaceAll(":", "").toLowerCase()

/** What a certificate must be: this very one, or one with these attributes among those of its subject. */
export const Required = Schema.Union([
  Schema.TaggedStruct("Fingerprint", { digits: Schema.String }),
  Schema.TaggedStruct("Subject", {
    attributes: Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String }))
  })
])
export type Required = typeof Required.Type

export const fits = (required: Required, { fingerprint, subject }: Certificate): boolean => {
  if (required._tag === "Fingerprint") return fingerprint === required.digits
  return required.attributes.every(({ name, value }) =>
    Object.entries(subject).some(([attribute, values]) =>
      attribute.toLowerCase() === name.toLowerCase() && values.includes(value)
    )
  )
}

const fingerprint = /^(?:[0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})$/i
const attribute = /^\s*([a-z][\w.-]*|\d+(?:\.\d+)+)\s*=\s*(\S(?:.*\S)?)\s*$/iu

/** Of `AB:CD:…` (SHA-256), `CN=bob, O=Example`, or `/O=Example/CN=bob`; or what is wrong with it. */
export const parse = (text: string): Result.Result<Required, string> => {
  if (fingerprint.test(text)) return Result.succeed({ _tag: "Fingerprint", digits: digitsOf(text) })
  const parts = text.startsWith("/")
    ? text.slice(1).split(/\/(?=\s*[\w.-]+\s*=)/u)
    : text.split(/,(?=\s*[\w.-]+\s*=)/u)
  const attributes = parts.flatMap((part) => {
    const [, name, value] = attribute.exec(part) ?? []
    return name === undefined || value === undefined ? [] : [{ name, value }]
  })
  return attributes.length === parts.length
    ? Result.succeed({ _tag: "Subject", attributes })
    : Result.fail(
      `"${text}" is no certificate; expected its SHA-256 fingerprint, 64 hexadecimal digits, or its subject, such as CN=bob`
    )
}

export const format = (required: Required): string =>
  required._tag === "Fingerprint"
    ? required.digits
    : required.attributes.map(({ name, value }) => `${name}=${value}`).join(", ")

/** Of a text. */
export const RequiredFromText = Schema.String.pipe(
  Schema.decodeTo(
    Schema.toType(Required),
    SchemaTransformation.transformEffect({
      decode: (text, options) => {
        const required = parse(text)
        return Result.isSuccess(required)
          ? Effect.succeed(required.success)
          : Effect.fail(new SchemaIssue.InvalidValue({ message: required.failure }, text, options))
      },
      encode: (required) => Effect.succeed(format(required))
    })
  )
)
