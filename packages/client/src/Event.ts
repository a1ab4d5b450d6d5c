/**
 * What the streams of a client are made of: messages, what the server says in its own name, and what happens to the
 * connection. Texts and names are as the server sent them: another server than ours may have put control characters or
 * terminal escapes into them.
 */
import { Notice } from "@cpt/schema"
import { Data } from "effect"

export type Event = Data.TaggedEnum<{
  /** Somebody said something in a group, or, where `group` is the own name, privately. */
  Message: { readonly group: string; readonly sender: string; readonly timestamp: number; readonly message: string }
  /** Messages that were asked for are no longer kept; what there is follows (CPT 5.4). */
  Hole: { readonly group: string; readonly message: string }
  /** The name is another user's, and its messages are not for us (CPT 5.3). */
  Private: { readonly group: string; readonly message: string }
  /** Something else that the server says about a group: servers that are not ours use it for their errors. */
  Notice: { readonly group: string; readonly message: string }
  /** From the server to everybody (CPT 5.9). */
  Announcement: { readonly message: string }
  /** A line of the server was skipped, because it makes no sense. */
  Unreadable: { readonly why: string }
  /**
   * Of a start that is a time: the messages up to this timestamp were there before, and are not wanted. Whoever keeps their
   * place has it here in the server's time.
   */
  Passed: { readonly group: string; readonly timestamp: number }
  /** The connection is lost, and is being restored. */
  Disconnected: { readonly reason: string }
  /** The connection is restored. Nothing was missed: what came meanwhile follows. */
  Reconnected: {}
  /**
   * So many events were left out here, because they came faster than this stream is read: announcements, lines that cannot
   * be read, and what happened to the connection. Messages are never left out, nor holes.
   */
  Omitted: { readonly count: number }
}>

export const Event = Data.taggedEnum<Event>()

export type Message = Data.TaggedEnum.Value<Event, "Message">

/** Whether an event is a message, for `Stream.filter`. */
export const isMessage: (event: Event) => event is Message = Event.$is("Message")

/** What the server says in its own name about a group. */
export const fromSystem = (
  group: string,
  message: string
): Data.TaggedEnum.Value<Event, "Hole" | "Private" | "Notice"> =>
  message.startsWith(Notice.missingPrefix)
    ? Event.Hole({ group, message })
    : message.startsWith(Notice.privatePrefix)
    ? Event.Private({ group, message })
    : Event.Notice({ group, message })
