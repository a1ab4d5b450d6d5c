import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { json, visible } from "../src/Visible.ts"

describe("visible", () => {
  it("leaves what can be seen as it is", () => {
    for (
      const text of [
        "",
        "plain",
        "dr\u00e9i \u4e09 \u05d2 \u0915\u094d\u0937",
        "\u{1f980} \u2764\ufe0f",
        "\\u{1b}",
        "a b"
      ]
    ) assert.strictEqual(visible(text), text)
  })

  it("shows what cannot be seen, and what steers", () => {
    assert.strictEqual(visible("\u0000\t\n\r\u001b\u007f\u009b"), "\\u{00}\\t\\n\\r\\u{1b}\\u{7f}\\u{9b}")
    assert.strictEqual(visible("\u202e\u2066\u2069\u200e\u061c"), "\\u{202e}\\u{2066}\\u{2069}\\u{200e}\\u{61c}")
    assert.strictEqual(visible("a\u200b\u200d\u00ad\ufeff\u2060"), "a\\u{200b}\\u{200d}\\u{ad}\\u{feff}\\u{2060}")
    assert.strictEqual(visible("\u2028\u2029\ud800\ue000\u{e0041}"), "\\u{2028}\\u{2029}\\u{d800}\\u{e000}\\u{e0041}")
    assert.strictEqual(visible("\u3164\u115f\u034f"), "\\u{3164}\\u{115f}\\u{34f}")
  })

  it("leaves the joints of emoji alone, and only those", () => {
    const family = "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}"
    assert.strictEqual(visible(`${family}\u200d${family}`), `${family}\u200d${family}`)
    assert.strictEqual(visible(`a\u200d${family}\u200d`), `a\\u{200d}${family}\\u{200d}`)
  })

  it.effect.prop("never lets a control character through", [Schema.String], ([text]) =>
    Effect.sync(() => {
      for (const shown of [visible(text), json({ text })]) assert.notMatch(shown, /[\p{Cc}\p{Bidi_C}\u2028\u2029]/u)
    }), { arbitrary: { runs: 1000 } })

  it.effect.prop(
    "does not change what JSON says",
    [Schema.String],
    ([text]) => Effect.sync(() => assert.deepStrictEqual(JSON.parse(json({ text })), { text })),
    { arbitrary: { runs: 1000 } }
  )
})
