import { assert, describe } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { transcript } from "./support/Transcript.ts"

const protocol = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8")

describe("CPT 0.5: the session in docs/protocol.md", () => {
  const [, session = assert.fail("there is none")] = /^0\.5 [^`]*(?:`[^`]+`[^`]*)*?```\n([^`]*)```$/m.exec(protocol) ??
    []
  assert.include(session, "A< ENDSYNC")
  transcript("is a session", session.replaceAll(/\b\d{13}\b/g, (timestamp) => `<t${timestamp}>`))
})
