import { headerOf, type Reply } from './http/message.ts'

/** A check does not hold: what was expected, and what came. */
export class Mismatch extends Error {
  constructor(what: string, expected: unknown, got: unknown) {
    super(`${what}: expected ${show(expected)}, got ${show(got)}`)
  }
}

const MAX_SHOWN = 200

function show(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

export function expectStatus(reply: Reply, ...expected: readonly number[]): void {
  if (expected.includes(reply.status)) return
  throw new Mismatch(`status of ${reply.method}`, expected.join(' or '), String(reply.status))
}

/** Any refusal that is the client's fault. */
export function expectRefusal(reply: Reply): void {
  if (reply.status >= 400 && reply.status < 500) return
  throw new Mismatch(`status of ${reply.method}`, 'a status of 400 to 499', String(reply.status))
}

export function expectHeader(reply: Reply, name: string, expected: string): void {
  const got = headerOf(reply, name)
  if (got !== expected) throw new Mismatch(name, expected, got)
}

/** A header that may be absent, and is right where it is there. */
export function expectHeaderIfAny(reply: Reply, name: string, expected: string): void {
  if (headerOf(reply, name) !== undefined) expectHeader(reply, name, expected)
}

export function expectBytes(reply: Reply, expected: Uint8Array): void {
  if (reply.body.equals(expected)) return
  const { byteLength } = reply.body
  throw new Mismatch(
    'body',
    `the ${expected.byteLength} bytes that were sent`,
    `${byteLength} others`,
  )
}

export function expectEqual(what: string, got: unknown, expected: unknown): void {
  if (stable(got) !== stable(expected)) throw new Mismatch(what, expected, got)
}

/** JSON with sorted members. */
function stable(value: unknown): string {
  return (
    JSON.stringify(value, (_, member: unknown) =>
      typeof member === 'object' && member !== null && !Array.isArray(member)
        ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
        : member,
    ) ?? ''
  )
}

export function expectTrue(holds: boolean, what: string, got: unknown): void {
  if (!holds) throw new Mismatch('answer', what, got)
}

/** The body as a JSON object. */
export function jsonOf(reply: Reply): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(reply.body.toString())
  } catch {
    throw new Mismatch('body', 'JSON', reply.body.toString())
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new Mismatch('body', 'a JSON object', value)
}

/** Where to send what comes next: absolute, or relative to the request. */
export function locationOf(reply: Reply): string {
  const location = headerOf(reply, 'location')
  if (location === undefined || location === '') throw new Mismatch('Location', 'a URL', location)
  return new URL(location, reply.url).href
}

/** A `Location` with a parameter more; its own may come in any order, as clients send them. */
export function withQuery(location: string, parameters: Readonly<Record<string, string>>): string {
  const url = new URL(location)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  url.searchParams.sort()
  return url.href
}

/** The URL of the next page (RFC 5988); nothing where this is the last. */
export function nextPage(reply: Reply): string | undefined {
  const link = headerOf(reply, 'link')
  if (link === undefined) return undefined
  const [, target] = /^\s*<([^>]+)>\s*;\s*rel="?next"?\s*$/.exec(link) ?? []
  if (target === undefined) throw new Mismatch('Link', '<url>; rel="next"', link)
  return new URL(target, reply.url).href
}
