/** Whether files for TLS hold what they should. Apart from `Settings`, since node:crypto takes a while to load. */
import { createPrivateKey, X509Certificate } from "node:crypto"

/** Throws if it is none. */
export const certificate = (pem: Buffer): X509Certificate => new X509Certificate(pem)

/** Throws if it is none that can be read. */
export const privateKey = createPrivateKey

export const belongTogether = (cert: Buffer, key: Buffer): boolean => certificate(cert).checkPrivateKey(privateKey(key))
