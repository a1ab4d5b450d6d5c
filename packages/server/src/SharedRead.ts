/**
 * What comes on sockets, read into one buffer that they share. By itself Node makes a buffer of 64 KB for each read and
 * cuts it to size: an eighth of the CPU of an ACK, and garbage of which V8 counts all 64 KB. For sockets that connect, Node
 * has `onread` instead; a server's cannot be made with it. So what that option does is done here to one that is made
 * already, where Node's sockets are as they are in 22 and 24; elsewhere they read as they always do.
 */
import { Buffer } from "node:buffer"
import type { Socket } from "node:net"

/** As much as Node reads in one go. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

let slots: ReadonlyMap<string | undefined, symbol> | undefined

/**
 * From now on `hear` is called with what comes, in place of "data"; the bytes change after the call.
 *
 * @returns false if that cannot be done, or something waits in the socket to be read; then nothing has changed
 */
export const readShared = (socket: Socket, hear: (bytes: Buffer) => void): boolean => {
  slots ??= new Map(Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]))
  const [bytes, callback, generator] = [slots.get("kBuffer"), slots.get("kBufferCb"), slots.get("kBufferGen")]
  const handle: unknown = Reflect.get(socket, "_handle")
  if (bytes === undefined || callback === undefined || generator === undefined || !canShare(handle)) return false
  if (socket.readableLength > 0) return false
  handle.useUserBuffer(buffer)
  Reflect.set(socket, bytes, buffer)
  Reflect.set(socket, generator, null)
  Reflect.set(socket, callback, (length: number) => hear(buffer.subarray(0, length)))
  return true
}

const canShare = (handle: unknown): handle is { readonly useUserBuffer: (buffer: Buffer) => void } =>
  typeof handle === "object" && handle !== null && "useUserBuffer" in handle
