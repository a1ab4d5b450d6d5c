/** The forms in which a run is told. */
export { html } from "./Html.ts"
export * as Json from "./Json.ts"
export { junit } from "./Junit.ts"
export { hasFailed, type Report } from "./Report.ts"
export * as Table from "./Table.ts"
export { tap } from "./Tap.ts"
