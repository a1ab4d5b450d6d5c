import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import { createHash, X509Certificate } from "node:crypto"
import * as Certificate from "../src/Certificate.ts"
import { cert } from "./support/certificate.ts"

const required = (text: string) => Result.getOrThrowWith(Certificate.parse(text), (why) => new Error(why))

describe("Certificate", () => {
  it("is of Node's what stands in it, in one form", () => {
    const x509 = new X509Certificate(cert)
    assert.deepStrictEqual(Certificate.fromShown(x509.toLegacyObject()), {
      fingerprint: createHash("sha256").update(x509.raw).digest("hex"),
      subject: { CN: ["localhost"] }
    })
  })

  it("has every value of an attribute that comes more than once", () => {
    const shown = { fingerprint256: "0A:FF", subject: { CN: "bob", OU: ["a", "b"] } }
    assert.deepStrictEqual(Certificate.fromShown(shown), {
      fingerprint: "0aff",
      subject: { CN: ["bob"], OU: ["a", "b"] }
    })
  })
})

describe("what a certificate has to be", () => {
  const digits = "0123456789abcdef".repeat(4)
  const bob = { fingerprint: digits, subject: { CN: ["bob"], O: ["Example, Inc."], OU: ["a", "b"] } }

  it("this very one, by its fingerprint, with or without colons, in upper or lower case", () => {
    const withColons = digits.replaceAll(/..(?!$)/g, "$&:")
    for (const text of [digits, digits.toUpperCase(), withColons, withColons.toUpperCase()]) {
      assert.isTrue(Certificate.fits(required(text), bob))
      assert.isFalse(Certificate.fits(required(text), { ...bob, fingerprint: digits.replace("0", "1") }))
      assert.strictEqual(Certificate.format(required(text)), digits)
    }
  })

  it("one with these attributes, as OpenSSL writes them, in any order", () => {
    const fitting = ["CN=bob", "cn = bob", "O=Example, Inc., CN=bob", "/OU=b/CN=bob", "CN = bob, OU = a, OU=b"]
    for (const text of fitting) assert.isTrue(Certificate.fits(required(text), bob), text)
    for (const text of ["CN=Bob", "CN=bob, O=Example", "OU=c", "C=bob", "CN=b"]) {
      assert.isFalse(Certificate.fits(required(text), bob), text)
    }
  })

  it("nothing else", () => {
    for (const text of ["", "bob", "CN=", "=bob", digits.slice(1), `${digits}0`, "12:34"]) {
      const parsed = Certificate.parse(text)
      assert.match(Result.isFailure(parsed) ? parsed.failure : "", /^".*" is no certificate; expected /, text)
    }
  })

  const attribute = Schema.Struct({
    name: Schema.Literals(["CN", "O", "OU", "emailAddress", "2.5.4.41"]),
    value: Schema.Literals(["bob", "Example, Inc.", "a/b", "a@b.example", "x + y", "é"])
  })
  it.prop(
    "is its text again",
    [Arbitrary.array(Arbitrary.schema(attribute), { minLength: 1, maxLength: 4 })],
    ([attributes]) => {
      const text = attributes.map(({ name, value }) => `${name}=${value}`).join(", ")
      assert.deepStrictEqual(required(text), { _tag: "Subject", attributes })
      assert.strictEqual(Certificate.format(required(text)), text)
    }
  )
})
