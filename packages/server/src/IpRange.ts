/**
 * Ranges of IP addresses: `10.0.0.0/8`, `fd00::/8`, or one address. IPv4 in the form of IPv6 (`::ffff:10.0.0.1`) is IPv4,
 * since the same peer may be shown so by a listener for both.
 */
import { Effect, Result, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { IpInterface, IpNetwork, NetAddress } from "effect/net"

export const IpRange = Schema.declare(IpNetwork.isIpNetwork, { identifier: "IpRange" })
export type IpRange = typeof IpRange.Type

/** Bits in front of an IPv4 address in the form of IPv6. */
const mappedBits = 96

const fault = (text: string): string =>
  `"${text}" is no range of addresses; expected one such as 10.0.0.0/8, fd00::/8 or 192.0.2.7`

/** Without the bits that say IPv4 a range would be one of IPv6, in which no IPv4 address is. */
const tooShort = (text: string): string =>
  `"${text}" is no range of addresses: IPv4 in the form of IPv6 begins behind ${mappedBits} bits; expected /${mappedBits} to /128, or a range of IPv4 such as 10.0.0.0/8`

/** The range of a text, or what is wrong with it. In `10.1.2.3/8` the bits behind the eighth say nothing. */
export const parse = (text: string): Result.Result<IpRange, string> =>
  IpInterface.fromString(text).pipe(
    Result.mapError(() => fault(text)),
    Result.flatMap(({ address, prefixLength }) => {
      const ipv4 = NetAddress.toCanonical(address)
      const isMapped = NetAddress.isIpv4Address(ipv4) && NetAddress.isIpv6Address(address)
      if (isMapped && prefixLength < mappedBits) return Result.fail(tooShort(text))
      return Result.mapError(
        isMapped
          ? IpNetwork.fromAddress(ipv4, prefixLength - mappedBits)
          : IpNetwork.fromAddress(address, prefixLength),
        () => fault(text)
      )
    })
  )

/** As one would write it: one address without its length. */
export const format = (range: IpRange): string =>
  range.prefixLength === NetAddress.width(range.address) ? NetAddress.formatIp(range.address) : IpNetwork.format(range)

/** Whether an address, as a socket shows it, is in one of them. */
export const includes = (ranges: ReadonlyArray<IpRange>, address: string): boolean => {
  const [ip = ""] = address.split("%", 1) // fe80::1%eth0 says by which interface
  const parsed = NetAddress.ipFromString(ip)
  if (Result.isFailure(parsed)) return false
  const canonical = NetAddress.toCanonical(parsed.success)
  return ranges.some((range) => IpNetwork.contains(range, canonical))
}

/** Of a text. */
export const FromText = Schema.String.pipe(
  Schema.decodeTo(
    IpRange,
    SchemaTransformation.transformEffect({
      decode: (text, options) => {
        const range = parse(text)
        return Result.isSuccess(range)
          ? Effect.succeed(range.success)
          : Effect.fail(new SchemaIssue.InvalidValue({ message: range.failure }, text, options))
      },
      encode: (range) => Effect.succeed(format(range))
    })
  )
)
