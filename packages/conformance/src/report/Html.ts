/** One page that needs nothing besides: what a run has found, to be sent around. */
import { source } from "../Case.ts"
import { differences } from "../Dialect.ts"
import { verdicts } from "../Outcome.ts"
import type { Result } from "../Run.ts"
import { print } from "../Transcript.ts"
import { escapeXml } from "./Junit.ts"
import { byProfile, count, type Report, summary } from "./Report.ts"
import { about } from "./Table.ts"

const style = `
:root { color-scheme: light dark; --line: #8884; --pass: #2a9d4a; --fail: #d33; --non-strict: #c80; --unsupported: #388; --inconclusive: #a4a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: right; } td:first-child, th:first-child { text-align: left; }
details { border-top: 1px solid var(--line); padding: .3rem 0; } summary { display: grid; grid-template-columns: 7rem 17rem 1fr 5rem; gap: .5rem; cursor: pointer; }
summary code, pre { font: 13px/1.5 ui-monospace, monospace; } pre { overflow-x: auto; background: #8881; padding: .6rem; border-radius: 4px; }
blockquote { margin: .5rem 0; padding-left: .8rem; border-left: 3px solid var(--line); } .time { text-align: right; opacity: .6; }
dl { display: grid; grid-template-columns: 6rem 1fr; margin: .5rem 0; } dt { opacity: .6; } dd { margin: 0; overflow-wrap: anywhere; }
.v { font-weight: 600; } ${
  verdicts.map((verdict) => `.${verdict} { color: var(--${verdict}); }`).join(" ")
} .none { opacity: .3; }
@media (max-width: 50rem) { summary { grid-template-columns: 6rem 1fr; } }
`

const detail = (result: Result, again: string): string => {
  const { case: of, millis, transcript, verdict, why } = result
  const facts = why === undefined
    ? []
    : typeof why === "string"
    ? [["why", why]]
    : [["expected", why.expected], ["came", why.came]]
  const rows = [...facts, ["again", again]]
  return `<details id="${escapeXml(of.id)}"${verdict === "fail" ? " open" : ""}>
<summary><span class="v ${verdict}">${verdict}</span><code>${escapeXml(of.id)}</code><span>${
    escapeXml(of.title)
  }</span><span class="time">${Math.round(millis)} ms</span></summary>
<blockquote>${escapeXml(of.quote)}<br><small>${escapeXml(source(of))}, ${of.level}</small></blockquote>
<dl>${rows.map(([name, text = ""]) => `<dt>${name}</dt><dd><code>${escapeXml(text)}</code></dd>`).join("")}</dl>
<pre>${escapeXml(print(transcript).join("\n"))}</pre>
</details>
`
}

export const html = (report: Report): string => {
  const { again, dialect, results, seed, server } = report
  const found = differences(dialect).map((sentence) => `<li>${escapeXml(sentence)}</li>`)
  const rows = byProfile(report)
  const cells = (counts: ReturnType<typeof count>) =>
    verdicts.map((verdict) => `<td class="${counts[verdict] === 0 ? "none" : verdict}">${counts[verdict]}</td>`).join(
      ""
    )
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CPT conformance of ${escapeXml(server)}</title>
<style>${style}</style>
<h1>CPT conformance of ${escapeXml(server)}</h1>
<p>${escapeXml(summary(report))}. Seed ${seed}.</p>
${
    found.length === 0
      ? ""
      : `<p>It reads what CPT.md leaves open otherwise than READING.md, and was tested on its own terms:</p>\n<ul>${
        found.join("")
      }</ul>\n`
  }<table>
<tr><th>profile</th>${verdicts.map((verdict) => `<th>${verdict}</th>`).join("")}</tr>
${rows.map(([profile, results]) => `<tr><td>${profile}</td>${cells(count(results))}</tr>`).join("\n")}
<tr><td>all</td>${cells(count(results))}</tr>
</table>
${
    rows.map(([profile, results]) =>
      `<h2>${profile}: ${about[profile]}</h2>\n${
        results.map((result) => detail(result, again(result.case.id))).join("")
      }`
    ).join("\n")
  }</html>
`
}
