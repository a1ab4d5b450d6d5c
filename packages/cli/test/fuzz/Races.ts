/**
 * A name that several want at the same time, and that nothing is sent to: at any moment it is one user's, or a group, or
 * nobody's (CPT 2.2). Who was first is not known, but when each of them had it at the least, and at the most.
 */
import { Violation } from "../crash/Ledger.ts"
import { type Conduct, type Deed, isPrivate } from "./Conduct.ts"
import type { Course } from "./Peer.ts"

interface Claim {
  readonly course: Course
  readonly isUser: boolean
  /** Surely between these times, and at most between those. */
  readonly surely: Span
  readonly maybe: Span
}

type Span = readonly [from: number, to: number]

const overlap = ([a, b]: Span, [c, d]: Span): boolean => a < d && c < b

export const mustBeFair = (name: string, conducts: ReadonlyArray<Conduct>): void => {
  const claims = conducts.flatMap((conduct) => claimsOf(name, conduct))
  for (const [index, claim] of claims.entries()) {
    const other = claims.find((other, at) =>
      at > index && other.course !== claim.course && (claim.isUser || other.isUser) &&
      overlap(claim.surely, other.surely)
    )
    if (other === undefined) continue
    throw new Violation(`${name} was ${said(claim)} and ${said(other)} at the same time (CPT 2.2, 3.2)`)
  }
  for (const { course, deeds } of conducts) {
    for (const deed of deeds) {
      const isTaken = deed.target === name && deed.answer?.[0] === "DECLINE username_taken"
      const isHidden = deed.target === name && isPrivate(deed.answer)
      const span: Span = [deed.saidAt, deed.heardAt]
      const others = claims.filter((claim) => claim.course !== course && (isTaken || claim.isUser))
      if (!isTaken && !isHidden || others.some(({ maybe }) => overlap(maybe, span))) continue
      throw new Violation(`${course.label} heard ${deed.answer?.[0]}, when ${name} was nobody's (CPT 2.2, 3.2)`)
    }
  }
}

const said = ({ course, isUser }: Claim): string => `${isUser ? "the user" : "a group for"} ${course.label}`

const claimsOf = (name: string, { course, deeds }: Conduct): ReadonlyArray<Claim> => {
  const { closedAt = Infinity, ending } = course
  const isMine = ({ answer, target }: Deed) => target === name && answer?.[0] === "ACCEPT"
  const isGroup = ({ answer, target }: Deed) => target === name && answer?.length === 1 && answer[0] === "ENDSYNC"
  const deed = deeds.find((deed) => isMine(deed) || isGroup(deed))
  if (deed === undefined) return []
  return [{
    course,
    isUser: isMine(deed),
    surely: [deed.heardAt, ending?.at ?? closedAt],
    maybe: [deed.saidAt, closedAt]
  }]
}
