import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { plainAddress } from './loopback.ts'

/** What a server knows of the way to its clients. */
export interface WayToClients {
  /** What clients see, behind a proxy: `https://registry.example`. */
  readonly externalUrl?: string | undefined
  /** Proxies whose `X-Forwarded-…` headers are believed. */
  readonly trustedProxies?: BlockList | undefined
}

/**
 * Addresses and networks (`10.0.0.0/8`) as one list. `undefined` where one of them is neither.
 */
export function parseNetworks(texts: readonly string[]): BlockList | undefined {
  const list = new BlockList()
  for (const text of texts) {
    const [address = '', bits, ...more] = text.split('/')
    const version = isIP(address)
    const size = version === 4 ? 32 : 128
    const prefix = bits === undefined ? size : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
    if (version === 0 || !(prefix <= size) || more.length > 0) return undefined
    list.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

/**
 * The address of the client: of the connection, or, from a trusted proxy, the last one of
 * `X-Forwarded-For` that is no trusted proxy itself. What stands before that one is the client's
 * own word.
 */
export function clientAddress(request: IncomingMessage, way: WayToClients = {}): string {
  const { trustedProxies } = way
  let address = plainAddress(request.socket.remoteAddress ?? '')
  if (!trustedProxies) return address
  const forwarded = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',')
  for (let hop = forwarded.pop(); hop !== undefined; hop = forwarded.pop()) {
    const next = plainAddress(hop.trim())
    if (isIP(next) === 0 || !isInNetworks(trustedProxies, address)) break
    address = next
  }
  return address
}

/** The origin that a client used (`https://host:port`); `undefined` where its `Host` is no name. */
export function clientOrigin(request: IncomingMessage, way: WayToClients = {}): string | undefined {
  if (way.externalUrl !== undefined) return new URL(way.externalUrl).origin
  const host = hostOf(request)
  return host && `${isSecure(request, way) ? 'https' : 'http'}://${host}`
}

/** The `Host` of a request; `undefined` where it is no name or address. */
export function hostOf({ headers: { host } }: IncomingMessage): string | undefined {
  if (host === undefined || !/^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host))
    return undefined
  return URL.canParse(`http://${host}`) ? host : undefined
}

/** An address of a server and nothing behind it: `https://registry.example`. */
export function parseOrigin(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isOrigin = url && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href
  return isOrigin ? url.origin : undefined
}

function isSecure(request: IncomingMessage, { trustedProxies }: WayToClients): boolean {
  if ('encrypted' in request.socket) return true
  const address = plainAddress(request.socket.remoteAddress ?? '')
  return (
    trustedProxies !== undefined &&
    isInNetworks(trustedProxies, address) &&
    request.headers['x-forwarded-proto'] === 'https'
  )
}

/** True for an address that one of the networks has. */
export function isInNetworks(list: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6')
}
