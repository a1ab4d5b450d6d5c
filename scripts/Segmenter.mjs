/** `Intl.Segmenter`, for graphemes, made when it is first needed: each printable character of ASCII is one by itself. */
export class Segmenter {
  #options
  #real
  constructor(...options) {
    this.#options = options
  }
  segment(text) {
    if (/^[ -~]*$/.test(text)) return Array.from(text, (segment, index) => ({ segment, index, input: text }))
    this.#real ??= new globalThis.Intl.Segmenter(...this.#options)
    return this.#real.segment(text)
  }
}
