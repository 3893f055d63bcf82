import { S3loError } from '@s3lo/core/plugin'
import { isLoopbackAddress } from './request/loopback.ts'

/** Where a server listens. */
export interface ListenAddress {
  /** A name, or an address without brackets. Empty: every address of this machine. */
  readonly host: string
  readonly port: number
}

const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:]*)):(\d{1,5})$/
const MAX_PORT = 65_535

/** Reads `ADDRESS:PORT`, `[IPV6]:PORT` or `:PORT`. Throws `USAGE`. */
export function parseListenAddress(text: string): ListenAddress {
  const [, ipv6, name, port] = ADDRESS.exec(text) ?? []
  if (port !== undefined && Number(port) <= MAX_PORT) {
    return { host: ipv6 ?? name ?? '', port: Number(port) }
  }
  throw new S3loError('USAGE', `${JSON.stringify(text)} is not an address to listen on`, {
    hint: 'such as 127.0.0.1:5732, [::1]:5732 or 0.0.0.0:443',
  })
}

/** True for a host that only this machine can reach. No host at all is every address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || isLoopbackAddress(host)
}

/** The address as a part of a URL. */
export function formatAuthority({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
