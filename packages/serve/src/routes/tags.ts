import type { ImageStore, WindowOptions } from '@s3lo/core'
import { type Answer, type AnswerHeaders, jsonAnswer } from '../answer/answer.ts'
import { Refusal } from '../answer/error.ts'
import type { Principal } from '../auth/principal.ts'
import type { Call } from '../call.ts'
import { nextLink, type PageRequest, parsePage } from '../request/page.ts'
import type { Route } from '../request/route.ts'

/** Names of one page, where a client does not ask for fewer. */
const MAX_NAMES = 10_000

/** GET of the tags of a repository (end-8), in the order of their bytes. */
export async function listTags(
  store: ImageStore,
  { repository }: Extract<Route, { kind: 'tags' }>,
  { path, query, signal }: Call,
): Promise<Answer> {
  const page = parsePage(query)
  const found = await namesOf(page, (limit) =>
    store.tags(repository, { after: page.last, limit, signal }),
  )
  const { names: tags } = found
  const isKnown = tags.length > 0 || (await hasTag(store, repository, signal))
  if (!isKnown) throw unknownRepository(repository)
  return jsonAnswer({ name: repository, tags }, linkOf(path, page, found))
}

/** GET of the repositories (Docker's `_catalog`) that a client may pull, in the order of their bytes. */
export async function listRepositories(
  store: ImageStore,
  { path, principal, query, signal }: Call,
): Promise<Answer> {
  const page = parsePage(query)
  const found = await namesOf(page, (limit) =>
    visibleRepositories(store, principal, { after: page.last, limit, signal }),
  )
  return jsonAnswer({ repositories: found.names }, linkOf(path, page, found))
}

/** What a client may not see is no name of a page, and none that leads to the next one. */
async function* visibleRepositories(
  store: ImageStore,
  principal: Principal,
  { after, limit, signal }: WindowOptions & { readonly limit: number },
): AsyncGenerator<string> {
  let given = 0
  let last = after
  for (;;) {
    const names = await Array.fromAsync(store.repositories({ after: last, limit, signal }))
    for (const repository of names) {
      if (!principal.may({ action: 'catalog', repository })) continue
      yield repository
      given += 1
      if (given === limit) return
    }
    if (names.length < limit) return
    last = names.at(-1)
  }
}

interface NamesOfPage {
  readonly names: readonly string[]
  readonly hasMore: boolean
}

/** Reads one name more than the page has, to know whether there is another page. */
async function namesOf(
  { n = MAX_NAMES }: PageRequest,
  read: (limit: number) => AsyncIterable<string>,
): Promise<NamesOfPage> {
  const size = Math.min(n, MAX_NAMES)
  if (size === 0) return { names: [], hasMore: false }
  const names = await Array.fromAsync(read(size + 1))
  return { names: names.slice(0, size), hasMore: names.length > size }
}

function linkOf(path: string, { n }: PageRequest, { names, hasMore }: NamesOfPage): AnswerHeaders {
  const last = names.at(-1)
  if (!hasMore || last === undefined) return {}
  return { link: nextLink(path, { ...(n === undefined ? {} : { n: `${n}` }), last }) }
}

async function hasTag(
  store: ImageStore,
  repository: string,
  signal: AbortSignal,
): Promise<boolean> {
  return (await Array.fromAsync(store.tags(repository, { limit: 1, signal }))).length > 0
}

function unknownRepository(name: string): Refusal {
  return new Refusal('NAME_UNKNOWN', `there is no repository ${name}`, { detail: { name } })
}
