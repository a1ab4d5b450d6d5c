/** Runs an example when it is what Node was started with, and not when a test imports it. */
import { NodeRuntime } from "@effect/platform-node"
import { Layer } from "effect"
import { pathToFileURL } from "node:url"

export const launchIfMain = <A, E>(url: string, program: Layer.Layer<A, E>): void => {
  if (process.argv[1] !== undefined && pathToFileURL(process.argv[1]).href === url) {
    NodeRuntime.runMain(Layer.launch(program))
  }
}
