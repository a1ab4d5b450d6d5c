/**
 * Whether something of a level is logged now, where how much that is can change: asked before something is said often, so
 * that what nobody wants costs nothing. By default it is all that Effect's `MinimumLogLevel` lets through.
 */
import { Context, type LogLevel } from "effect"

export const IsLogged = Context.Reference<(level: LogLevel.LogLevel) => boolean>("@cpt/server/IsLogged", {
  defaultValue: () => () => true
})
