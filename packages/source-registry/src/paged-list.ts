import { digestOf } from '@s3lo/core'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { nextLink } from './link-header.ts'
import type { RegistryAnswer } from './registry-client.ts'
import { contradiction } from './registry-error.ts'
import type { RepositoryApi } from './repository-api.ts'

/** A list that comes in pages. */
export interface PagedCall extends CallOptions {
  readonly to: string
  readonly what: string
  readonly expect: readonly number[]
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Bytes of one page: a registry may ignore how many entries are asked for. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024
const MAX_PAGES = 10_000
/** Bytes of all pages: a hundred times what the largest known repositories have. */
const MAX_LIST_BYTES = 128 * 1024 * 1024

/** Pages in a row that bring nothing new, after which a list is at its end. */
const MAX_BARREN_PAGES = 10

/**
 * The pages of a list, following `Link` (OCI distribution spec v1.1.1, "listing tags"). A registry
 * behind a proxy may not know its own name: of a link, only path and query count. Throws `INTEGRITY`
 * for a list that leads in circles or has no end.
 */
export async function* pagesOf(
  api: RepositoryApi,
  call: PagedCall,
): AsyncGenerator<RegistryAnswer> {
  const { client } = api
  const { what } = call
  const seen = new Set<string>()
  let bytes = 0
  let url = new URL(call.to, client.origin)
  while (seen.size < MAX_PAGES) {
    seen.add(keyOf(url))
    const page = { method: 'GET', scopes: api.scopes('pull'), ...call, to: url } as const
    const answer = await client.ask(page, MAX_PAGE_BYTES)
    bytes += answer.content.byteLength
    if (bytes > MAX_LIST_BYTES) throw tooLong(what, `${MAX_LIST_BYTES} bytes`)
    yield answer
    const next = answer.status === 200 ? nextLink(answer.headers.get('link')) : undefined
    if (next === undefined) return
    const target = URL.parse(next, url.href)
    if (!target) throw contradiction(what, 'the list names no valid next page')
    url = new URL(`${target.pathname}${target.search}`, client.origin)
    if (seen.has(keyOf(url))) throw contradiction(what, 'the list leads in circles')
  }
  throw tooLong(what, `${MAX_PAGES} pages`)
}

/** The entries of a list, each once; it ends where page after page brings none that is new. */
export async function* distinct<T>(
  pages: AsyncIterable<readonly T[]>,
  identify: (entry: T) => string,
): AsyncGenerator<T> {
  const seen = new Set<string>()
  let barren = 0
  for await (const page of pages) {
    const before = seen.size
    for (const entry of page) {
      const key = identify(entry)
      if (seen.has(key)) continue
      seen.add(key)
      yield entry
    }
    barren = seen.size === before ? barren + 1 : 0
    if (barren >= MAX_BARREN_PAGES) return
  }
}

/** URLs of a foreign list can be long; what is kept of them is not. */
function keyOf(url: URL): string {
  return digestOf(Buffer.from(url.href))
}

function tooLong(what: string, limit: string): S3loError {
  return new S3loError('INTEGRITY', `${what} have more than ${limit}`)
}
