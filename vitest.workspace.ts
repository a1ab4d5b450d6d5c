// Vitest 5 has no workspace file of its own any more: `vitest run --config vitest.workspace.ts`.
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { defineConfig } from "vitest/config"

const project = (root: string) => ({
  // Tests run on the sources: see customConditions in tsconfig.base.json.
  ssr: { resolve: { conditions: ["@cpt/source"] } },
  test: {
    name: root.slice(root.lastIndexOf("/") + 1),
    root,
    include: ["**/*.test.ts"],
    exclude: ["dist", "node_modules"],
    // … but for `cpt` as a process, which is what users have: its bundle is made if it is not there or not new
    globalSetup: root === "packages/cli" ? [join(import.meta.dirname, "packages/cli/test/support/Bundle.ts")] : [],
    // A hung connection must not hang the suite, and a busy machine must not fail it.
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})

export default defineConfig({
  test: {
    silent: "passed-only", // what a server logs is for when something is wrong
    maxWorkers: availableParallelism(), // tests of processes wait for them more than they work
    projects: [
      "packages/schema",
      "packages/server",
      "packages/client",
      "packages/conformance",
      "packages/cli",
      "examples"
    ].map(project)
  }
})
