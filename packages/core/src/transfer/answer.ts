import type { Failure } from './failure.ts'
import { failureOf, MEANING } from './failure.ts'

/** More than a full page of any service takes (bytes). */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024

/**
 * An answer whose status says yes and whose shape is not the service's: a proxy's page, nothing at
 * all, a document that ends in the middle. It says nothing about the store.
 */
export class ForeignAnswerError extends Error {
  override readonly name = 'ForeignAnswerError'
}

/** What a {@link ForeignAnswerError} means: what the store holds is unknown, and a repeat may tell. */
export function foreignAnswer(what: string, service: string, cause: Error): Failure {
  const text = `the answer is not what ${service} sends`
  const hint = 'check the endpoint, and that no proxy or login page answers for it'
  return failureOf({ ...MEANING.busy, text, hint }, what, new Error(cause.message))
}

/**
 * Throws {@link ForeignAnswerError} unless `text` is an XML document whose root element is one of
 * `roots` and is closed. What stands between is for the parser.
 */
export function assertXmlRoot(text: string, roots: readonly string[]): void {
  const expected = roots.join(' or ')
  const root = rootOf(text)
  if (root === undefined) {
    const got = text.trim() === '' ? 'nothing' : 'no XML document'
    throw new ForeignAnswerError(`expected ${expected}, got ${got}`)
  }
  if (!roots.includes(root.name)) {
    throw new ForeignAnswerError(`expected ${expected}, got ${root.name.slice(0, 40)}`)
  }
  if (!root.isClosed) throw new ForeignAnswerError(`expected the end of ${root.name}, got none`)
}

/** Whether {@link assertXmlRoot} throws nothing. */
export function hasXmlRoot(text: string, roots: readonly string[]): boolean {
  const root = rootOf(text)
  return root !== undefined && root.isClosed && roots.includes(root.name)
}

/** Whether the answer says of itself that it is a web page. */
export function isWebPage(contentType: string | undefined): boolean {
  return /^\s*(text\/html|application\/xhtml\+xml)\s*(;|$)/i.test(contentType ?? '')
}

interface Root {
  /** With its namespace's prefix, which no service has: the parsers would see nothing in it. */
  readonly name: string
  readonly isClosed: boolean
}

const START_TAG = /^<([\w.:-]+)(\s[^<>]*|\/)?>/
/** No service's root element has a longer tag (characters). */
const LONGEST_TAG = 4096

/** No service sends a document type; pages do. */
function rootOf(text: string): Root | undefined {
  const start = afterPrologue(text)
  const [, name, attributes = ''] = START_TAG.exec(text.slice(start, start + LONGEST_TAG)) ?? []
  if (name === undefined) return undefined
  return { name, isClosed: attributes.endsWith('/') || text.trimEnd().endsWith(`</${name}>`) }
}

/**
 * Where the root element starts: after a byte order mark, a declaration, comments, and the spaces by
 * which a service keeps a connection alive while it works.
 */
function afterPrologue(text: string): number {
  let place = 0
  for (;;) {
    const next = /[^\s\uFEFF]/g
    next.lastIndex = place
    place = next.exec(text)?.index ?? text.length
    const end = text.startsWith('<?', place) ? '?>' : text.startsWith('<!--', place) ? '-->' : ''
    const endsAt = end === '' ? -1 : text.indexOf(end, place)
    if (endsAt === -1) return place
    place = endsAt + end.length
  }
}
