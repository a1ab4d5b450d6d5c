/** All cases, in the order in which they run. */
import type { Case } from "../Case.ts"
import { core } from "./core.ts"
import { delivery } from "./delivery.ts"
import { durable } from "./durable.ts"
import { identity } from "./identity.ts"
import { load } from "./load.ts"
import { robust } from "./robust.ts"
import { strict } from "./strict.ts"

export const cases: ReadonlyArray<Case> = [
  ...core,
  ...strict,
  ...robust,
  ...delivery,
  ...identity,
  ...durable,
  ...load
]
