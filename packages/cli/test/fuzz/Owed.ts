/** What those who follow something will hear of it for sure, whatever the order was in which things happened. */
import { answersOf, isPrivate } from "./Conduct.ts"
import type { Course } from "./Peer.ts"
import { targetOf } from "./Reading.ts"

/** A message that was acknowledged. */
interface Sent {
  readonly sender: string
  readonly target: string
  readonly text: string
  readonly saidAt: number
}

/** Who somebody was, what they have followed, and since when; and the messages that were acknowledged to them. */
const lifeOf = (course: Course) => {
  const follows = new Map<string, number>()
  const sent: Array<Sent> = []
  let name: string | undefined
  for (const { ask, at, before, line } of answersOf(course).answers) {
    const target = ask === undefined ? undefined : targetOf(ask.meaning, name)
    if (ask === undefined || target === undefined) continue
    if (line === "ACCEPT") name = target
    const isFollowed = line === "ACCEPT" || line === "ENDSYNC" && !isPrivate([before.at(-1)?.line ?? "", line])
    if (isFollowed && !follows.has(target)) follows.set(target, at)
    if (ask.meaning._tag === "SEND" && line === "ACK" && name !== undefined) {
      sent.push({ sender: name, target, text: ask.meaning.message, saidAt: ask.saidAt })
    }
  }
  return { course, follows, name, sent }
}

/** Whether each of them has heard the last message that was sent when it had followed its target already. */
export const haveHeard = (all: ReadonlyArray<Course>, there: ReadonlyArray<Course>): () => boolean => {
  const lives = all.map(lifeOf)
  const inOrder = lives.flatMap(({ sent }) => sent).toSorted((a, b) => a.saidAt - b.saidAt)
  const sent = Map.groupBy(inOrder, ({ target }) => target)
  const owed = lives.flatMap(({ course, follows, name }) =>
    there.includes(course)
      ? Array.from(follows, ([target, since]) => {
        const last = sent.get(target)?.findLast(({ saidAt, sender }) => saidAt > since && sender !== name)
        return { course, last }
      })
      : []
  )
  return () =>
    owed.every(({ course, last }) =>
      last === undefined ||
      course.heard.some(({ line }) =>
        line.startsWith(`MSG ${last.target} ${last.sender} `) && line.endsWith(` ${last.text}`)
      )
    )
}
