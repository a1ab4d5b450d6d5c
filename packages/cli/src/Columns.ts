/** Rows of text below each other, for people: numbers to the right, nothing behind the last column. */

/** @param isNumber of each column */
export const align = (rows: ReadonlyArray<ReadonlyArray<string>>, isNumber: ReadonlyArray<boolean>): string => {
  const widths = isNumber.map((_, at) => rows.reduce((width, row) => Math.max(width, row[at]?.length ?? 0), 0))
  const line = (row: ReadonlyArray<string>) =>
    row.map((cell, at) => isNumber[at] === true ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0))
      .join("  ").trimEnd()
  return rows.map((row) => `${line(row)}\n`).join("")
}
