/**
 * Where a server listens: the settings `--listen`, or `--host` and `--port`, with the certificate for TLS and the networks
 * of proxies; and the sockets that systemd has opened for it.
 */
import { Credentials, Listener } from "@cpt/server"
import { Array, Effect, Layer } from "effect"
import { NetAddress } from "effect/net"
import { SocketServer } from "effect/socket"
import { isIPv4 } from "node:net"
import * as Address from "../Address.ts"
import { failed, type Failure, usage } from "../Failure.ts"
import { visible } from "../Visible.ts"
import { isGiven, refuse, type Settings } from "./Given.ts"
import type { Part } from "./Reload.ts"
import * as Sockets from "./Sockets.ts"
import type { Name } from "./Table.ts"

/** What a server listens on. */
type Place = Address.Address | (Sockets.Socket & { readonly isTls: boolean })

const isTls = (place: Place): boolean => "isTls" in place && place.isTls

/** Sockets that systemd has opened stand beside what was asked for; where nothing was, there are only they. */
const placesOf = (settings: Settings): Array.NonEmptyReadonlyArray<Place> => {
  const { host, listen = Array.of({ host, port: settings.values.port, isTls: false }) } = settings.values
  const opened = Sockets.inherited().map(({ fd, name }) => ({ fd, name, isTls: name === "cpts" }))
  const isAsked = (["listen", "host", "port"] as const).some((name) => isGiven(settings, name))
  return Array.isReadonlyArrayNonEmpty(opened) && !isAsked ? opened : Array.appendAll(listen, opened)
}

const pemSettings = { cert: "tls-cert", key: "tls-key", clientCa: "tls-client-ca" } as const
const pems = Object.values(pemSettings)

const refusePem = (settings: Settings) => ({ message, which }: Credentials.CredentialsUnusable): Failure => {
  const given = settings.given.get(pemSettings[which])
  return given === undefined ? usage(message) : refuse(given, message)
}

/** The files that TLS needs, undefined where it is spoken nowhere; or all that is wrong with what was said of them. */
const filesOf = (
  settings: Settings,
  places: ReadonlyArray<Place>
): Effect.Effect<Credentials.Files | undefined, Array.NonEmptyReadonlyArray<Failure>> => {
  const { "tls-cert": cert, "tls-client-ca": clientCa, "tls-key": key } = settings.values
  if (places.some(isTls)) {
    return cert !== undefined && key !== undefined
      ? Effect.succeed({ cert, key, clientCa })
      : Effect.fail([usage("TLS needs a certificate and its key: give both, with --tls-cert and --tls-key")])
  }
  const inVain = pems.flatMap((name) => {
    // The variables are also those of clients
    const given = settings.given.get(name)
    return given === undefined || given.by === "environment"
      ? []
      : [usage(`${given.from}: TLS is spoken nowhere; say where, with --listen cpts://HOST:PORT`)]
  })
  return Array.isReadonlyArrayNonEmpty(inVain) ? Effect.fail(inVain) : Effect.undefined
}

/** What `faultsOf` looks at. */
export const checked: ReadonlyArray<Name> = ["listen", "host", "port", ...pems]

/** What TLS lacks, where it is spoken. */
export const faultsOf = (settings: Settings): Effect.Effect<ReadonlyArray<Failure>> =>
  filesOf(settings, placesOf(settings)).pipe(
    Effect.flatMap((files) => files === undefined ? Effect.succeed([]) : Credentials.faultsOf(files)),
    Effect.map((faults) => faults.map(refusePem(settings))),
    Effect.catch(Effect.succeed)
  )

/** What is worth a word of settings that have no faults. */
export const warningsOf = (settings: Settings): Effect.Effect<ReadonlyArray<string>> =>
  filesOf(settings, placesOf(settings)).pipe(
    Effect.flatMap((files) => files === undefined ? Effect.undefined : Credentials.doubtOfFiles(files)),
    Effect.map((doubt) => doubt === undefined ? [] : [doubt]),
    Effect.orElseSucceed(() => [])
  )

const outgoing = (port: number): string =>
  port >= 32_768 && port <= 60_999
    ? `, or an outgoing connection has it for a moment (${port} lies in the range that Linux gives to those)`
    : ""

/** In one line, what is wrong and what to do. */
const cannotListen = (place: Place, isShort: boolean, { reason }: SocketServer.SocketServerError): Failure => {
  const { cause } = reason
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  const why = visible(cause instanceof Error ? cause.message : String(cause))
  if ("fd" in place) {
    return failed(`cannot listen on the socket "${visible(place.name)}" of systemd, descriptor ${place.fd}: ${why}`)
  }
  const at = visible(isShort ? Address.print(place) : Address.toUri(place))
  if ("path" in place) {
    // libuv tells one of these as the other
    const known = code === "EACCES" || code === "ENOENT" ? "its directory is not there, or not open to this user" : why
    return failed(`cannot listen on ${at}: ${known}; take another --listen`)
  }
  const [otherPort, otherHost] = isShort ? ["--port", "--host"] : ["--listen", "--listen"]
  switch (code) {
    case "EADDRINUSE":
      return failed(
        `${at} is in use: another server is running there${
          outgoing(place.port)
        }; stop it, try again, or take another ${otherPort}`
      )
    case "EACCES":
      return failed(`${at}: only root may listen on this port; take one above 1023 with ${otherPort}`)
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return failed(`${isShort ? visible(place.host) : at} is no address of this machine; take another ${otherHost}`)
    default:
      return failed(`cannot listen on ${at}: ${why}`)
  }
}

/** Whether `[::]` leaves IPv4 to another place, which asks for the same port there. */
const ipv6Only = (place: Place, places: ReadonlyArray<Place>): boolean =>
  "port" in place && place.port !== 0 &&
  places.some((other) => "port" in other && other.port === place.port && isIPv4(other.host))

const layerOf = (
  place: Place,
  entrance: Pick<Listener.TcpOptions, "credentials" | "ipv6Only" | "proxyFrom">
) => {
  if ("fd" in place) return Listener.inherited(place.fd, entrance)
  return "path" in place ? Listener.unix(place.path) : Listener.tcp({ ...place, ...entrance })
}

/** Where that is: where a free port was asked for, there is one now. */
const print = (place: Place, address: NetAddress.SocketAddress, isOnly: boolean): string => {
  if (!NetAddress.isUnixPathAddress(address)) {
    const host = { host: NetAddress.formatHost(address), port: address.port, isTls: isTls(place) }
    return isOnly ? Address.print(host) : Address.toUri(host)
  }
  return visible("fd" in place ? `socket "${place.name}" of systemd` : Address.toUri(address))
}

const isOpen = (place: Place, address: NetAddress.SocketAddress): boolean =>
  !isTls(place) && !NetAddress.isUnixPathAddress(address) && !NetAddress.isLoopback(address.address)

export interface Listening {
  readonly listeners: Array.NonEmptyReadonlyArray<Layer.Layer<SocketServer.SocketServer, Failure>>
  /** Where that is, once it listens at these addresses; and what of it others can reach in clear text. */
  readonly print: (addresses: ReadonlyArray<NetAddress.SocketAddress>) => {
    readonly all: ReadonlyArray<string>
    readonly open: ReadonlyArray<string>
  }
  /** Whether clients are asked for certificates somewhere. */
  readonly asksForCertificates: boolean
  /** Takes the certificate that its files have now. */
  readonly reload: Part
}

/** Follows the files of the certificate as long as the scope lasts. */
export const make = Effect.fnUntraced(function*(settings: Settings) {
  const places = placesOf(settings)
  const files = yield* Effect.mapError(filesOf(settings, places), ([first]) => first)
  const credentials = files && (yield* Effect.mapError(Credentials.fromFiles(files), refusePem(settings)))
  const { listen, "proxy-from": proxyFrom } = settings.values
  const listening: Listening = {
    listeners: Array.map(places, (place) =>
      Layer.catch(
        layerOf(place, {
          proxyFrom,
          credentials: isTls(place) ? credentials : undefined,
          ipv6Only: ipv6Only(place, places)
        }),
        (error) =>
          Layer.effect(SocketServer.SocketServer, Effect.fail(cannotListen(place, listen === undefined, error)))
      )),
    print: (addresses) => {
      const all = addresses.map((address, index) => ({ address, place: places[index]! }))
      const text = ({ address, place }: typeof all[number]) => print(place, address, places.length === 1)
      return { all: all.map(text), open: all.filter(({ address, place }) => isOpen(place, address)).map(text) }
    },
    asksForCertificates: files?.clientCa !== undefined,
    // Other files take a restart; until then those from before are followed, be they there or not
    reload: (settings, changed) =>
      credentials === undefined || pems.some((name) => changed.has(name))
        ? Effect.succeed(Effect.undefined)
        : Effect.map(
          Effect.mapError(credentials.prepare, refusePem(settings)),
          Effect.map((isNew) => isNew ? "certificate" : undefined)
        )
  }
  return listening
})
