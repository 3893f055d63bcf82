import { isDigest } from '@s3lo/core'
import * as fc from 'fast-check'
import { Refusal } from '../src/answer/error.ts'
import { warning } from '../src/answer/headers.ts'
import { matchesEtag } from '../src/request/etag.ts'
import { parseContentRange } from '../src/request/content-range.ts'
import { nextLink, parsePage } from '../src/request/page.ts'
import { parseRange } from '../src/request/range.ts'
import { parseRoute } from '../src/request/route.ts'

/** The result, or `undefined` for a refusal; any other error is a finding. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

/** Texts of these pieces, of anything, and of one piece again and again. */
function textOf(...pieces: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...pieces) },
    fc.string({ unit: 'binary', maxLength: 6 }),
  )
  return fc.oneof(
    fc.array(piece, { maxLength: 60 }).map((all) => all.join('')),
    fc.tuple(piece, fc.nat(50_000)).map(([text, count]) => text.repeat(count)),
  )
}

const path = textOf(
  '/v2/',
  '/',
  'a',
  '..',
  '.',
  '_',
  '-',
  '%2f',
  '%2e',
  '%',
  'manifests/',
  'blobs/',
  'uploads/',
  'tags/list',
  'referrers/',
  '_catalog',
  `sha256:${'a'.repeat(64)}`,
  `sha512:${'b'.repeat(128)}`,
  ':',
  '\0',
  '\\',
)
const header = textOf('bytes', '=', '-', ',', ' ', '0', '9', '/', '*', ';q=0', '"', 'W/', 'a/b')

const COMPONENT = /^[a-z0-9][a-z0-9._-]*$/

export const properties = {
  'a route names nothing that could be a path': fc.property(path, (text) => {
    const route = attempt(() => parseRoute(text))
    if (!route || !('repository' in route)) return
    if (!route.repository.split('/').every((part) => COMPONENT.test(part))) throw new Error('name')
    if ('digest' in route && !isDigest(route.digest)) throw new Error('digest')
    if ('id' in route && !/^[\w-]+$/.test(route.id)) throw new Error('upload')
    if ('reference' in route && !isDigest(route.reference) && !/^\w[\w.-]*$/.test(route.reference))
      throw new Error('reference')
  }),
  'a range lies in the blob': fc.property(header, fc.nat(), (text, size) => {
    const range = parseRange(text, size)
    if (range === undefined || range === 'unsatisfiable') return
    if (!(range.start >= 0 && range.start < range.end && range.end <= size))
      throw new Error('range')
  }),
  'a chunk lies at safe numbers': fc.property(header, (text) => {
    const range = parseContentRange(text)
    if (range && !(Number.isSafeInteger(range.first) && Number.isSafeInteger(range.last)))
      throw new Error('chunk')
  }),
  'a page leads to the same entry': fc.property(fc.string({ unit: 'binary' }), (last) => {
    const link = nextLink('/v2/a/tags/list', { last })
    const [, query = ''] = /^<\/v2\/a\/tags\/list\?([!-~]*)>; rel="next"$/.exec(link) ?? []
    const page = attempt(() => parsePage(new URLSearchParams(query)))
    if ((page?.last ?? '') !== last.toWellFormed()) throw new Error('last')
  }),
  'conditions are read': fc.property(header, header, (text, other) => {
    matchesEtag(text, other)
  }),
  'a warning is one header': fc.property(fc.string({ unit: 'binary' }), (text) => {
    if (!/^299 - "[ !#-[\]-~]*"$/.test(warning(text))) throw new Error('warning')
  }),
}
