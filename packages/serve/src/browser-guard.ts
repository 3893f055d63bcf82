import type { IncomingMessage } from 'node:http'
import type { Answer } from './answer/answer.ts'
import { Refusal, refusalAnswer } from './answer/error.ts'
import type { Guard } from './options.ts'
import { hostOf } from './request/client.ts'
import { isLoopbackName } from './request/loopback.ts'

/** Paths that say nothing of a store: probes ask for them by the address of a pod. */
const EXEMPT: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics'])

/** Methods that change nothing. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

export interface BrowserGuardOptions {
  /** True where a request without credentials may change something, or no credentials exist. */
  readonly isOpen: boolean
  /** Names beside those of this machine that an open server answers to. */
  readonly allowHosts: readonly string[]
  /** What clients see behind a proxy. */
  readonly externalUrl?: string | undefined
}

/**
 * Refuses what web pages make their visitors' browsers send. An open server answers only to names
 * that no DNS server can point at it (421): a page whose own name resolves to this machine would
 * otherwise read and change what is here. Every server refuses changes with a foreign `Origin`, or
 * that browsers call cross-site (403). Clients that are no browsers send neither.
 */
export function createBrowserGuard({
  isOpen,
  allowHosts,
  externalUrl,
}: BrowserGuardOptions): Guard {
  const external = externalUrl === undefined ? undefined : new URL(externalUrl)
  const known = new Set([...allowHosts, external?.hostname ?? []].flat().map(normalize))
  return (request) => {
    if (countHosts(request) > 1) return refuse(400, 'there is more than one Host header')
    const name = hostOf(request)
    const host = name === undefined ? undefined : new URL(`http://${name}`)
    const path = request.url?.split('?')[0] ?? ''
    if (isOpen && !EXEMPT.has(path) && !(host && isKnown(host.hostname, known))) {
      return refuse(421, 'this server does not answer to that name: allow it with --allow-host')
    }
    if (SAFE.has(request.method ?? '')) return undefined
    if (isForeign(request, external, host)) {
      return refuse(403, 'a web page of another origin may not change anything here')
    }
    return undefined
  }
}

function isKnown(hostname: string, known: ReadonlySet<string>): boolean {
  return isLoopbackName(hostname) || known.has(normalize(hostname))
}

/** Without case, and without the dot that ends a full name. */
function normalize(hostname: string): string {
  return hostname.toLowerCase().replace(/\.$/, '')
}

/** Node keeps the first of several and drops the rest, of which a proxy may have gone by the last. */
function countHosts({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length
}

/**
 * Without an external address, only the hosts are compared: behind a proxy that ends TLS, the origin
 * is `https:` and the request is not.
 */
function isForeign(
  { headers }: IncomingMessage,
  external: URL | undefined,
  host: URL | undefined,
): boolean {
  if (headers['sec-fetch-site'] === 'cross-site') return true
  const { origin } = headers
  if (origin === undefined) return false
  if (!URL.canParse(origin)) return true
  const given = new URL(origin)
  if (external) return given.origin !== external.origin
  if (!host || !/^https?:$/.test(given.protocol)) return true
  return given.host !== withPort(host.host, given.protocol)
}

/** `registry.example:443` and `registry.example` are one under https. */
function withPort(host: string, protocol: string): string {
  return new URL(`${protocol}//${host}`).host
}

function refuse(status: number, message: string): Answer {
  return refusalAnswer(new Refusal('DENIED', message, { status }))
}
