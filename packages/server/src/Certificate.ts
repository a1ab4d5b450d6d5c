/**
 * The certificate that a client has shown, and TLS has verified: issued by an authority that the operator trusts, and the
 * client has its key. Who it stands for is for account rules to say (`Accounts`).
 */

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
  fingerprint: fingerprint256.replaceAll(":", "").toLowerCase(),
  subject: Object.fromEntries(
    Object.entries(subject).map(([attribute, value = []]) => [attribute, typeof value === "string" ? [value] : value])
  )
})
