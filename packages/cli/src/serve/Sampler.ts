/**
 * Which spans are sent, by the standard variables: it is decided where a trace begins, and what belongs to it goes along. No
 * trace of others goes on here, so `parentbased_` makes no difference.
 */
import { Effect, Option, Tracer } from "effect"
import { type Environment, refuse } from "./Telemetry.ts"

const roots = ["always_on", "always_off", "traceidratio"]
const expected = `expected ${roots.join(", ")}, or one of these with parentbased_ before it`

const wholes: Readonly<Record<string, number>> = { always_on: 1, always_off: 0 }

/** Which part of the traces is sent, from 0 to 1. */
const partOf = (root: string, argument: string) => {
  const part = wholes[root] ?? Number(argument)
  return part >= 0 && part <= 1
    ? Effect.succeed(part)
    : refuse("OTEL_TRACES_SAMPLER_ARG", argument, "expected a number from 0 to 1")
}

/** The same tracer, of which not all spans are sent. */
export const sampled = Effect.fnUntraced(function*(tracer: Tracer.Tracer, env: Environment) {
  const { OTEL_TRACES_SAMPLER: sampler = "parentbased_always_on", OTEL_TRACES_SAMPLER_ARG: argument = "1" } = env
  const root = sampler.replace(/^parentbased_/, "")
  if (!roots.includes(root)) return yield* refuse("OTEL_TRACES_SAMPLER", sampler, expected)
  const part = yield* partOf(root, argument)
  const isSent = (parent: Option.Option<Tracer.AnySpan>): boolean =>
    Option.match(parent, { onNone: () => Math.random() < part, onSome: ({ sampled }) => sampled })
  return Tracer.make({
    ...tracer,
    span: (options) => tracer.span({ ...options, sampled: isSent(options.parent) })
  })
})
