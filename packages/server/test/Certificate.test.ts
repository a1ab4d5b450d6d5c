import { assert, describe, it } from "@effect/vitest"
import { createHash, X509Certificate } from "node:crypto"
import { fromShown } from "../src/Certificate.ts"
import { cert } from "./support/certificate.ts"

describe("Certificate", () => {
  it("is of Node's what stands in it, in one form", () => {
    const x509 = new X509Certificate(cert)
    assert.deepStrictEqual(fromShown(x509.toLegacyObject()), {
      fingerprint: createHash("sha256").update(x509.raw).digest("hex"),
      subject: { CN: ["localhost"] }
    })
  })

  it("has every value of an attribute that comes more than once", () => {
    const shown = { fingerprint256: "0A:FF", subject: { CN: "bob", OU: ["a", "b"] } }
    assert.deepStrictEqual(fromShown(shown), { fingerprint: "0aff", subject: { CN: ["bob"], OU: ["a", "b"] } })
  })
})
