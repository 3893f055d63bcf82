import type { ImageStore } from '@s3lo/core'
import { type Answer, jsonAnswer } from '../answer/answer.ts'
import { Refusal } from '../answer/error.ts'
import type { Call } from '../call.ts'
import { nextLink, parsePage } from '../request/page.ts'
import type { Route } from '../request/route.ts'

/** Tags of one page, where a client does not ask for fewer. */
const MAX_TAGS = 10_000

/** GET of the tags of a repository (end-8), in the order of their bytes. */
export async function listTags(
  store: ImageStore,
  { repository }: Extract<Route, { kind: 'tags' }>,
  { path, query, signal }: Call,
): Promise<Answer> {
  const { n = MAX_TAGS, last } = parsePage(query)
  const all = (await Array.fromAsync(store.tags(repository, { signal }))).toSorted(byBytes)
  if (all.length === 0) throw unknownRepository(repository)
  const rest = last === undefined ? all : all.filter((tag) => tag > last)
  const tags = rest.slice(0, Math.min(n, MAX_TAGS))
  const next = tags.length < rest.length ? tags.at(-1) : undefined
  const link = next === undefined ? {} : { link: nextLink(path, { n: `${n}`, last: next }) }
  return jsonAnswer({ name: repository, tags }, link)
}

/** Tags are ASCII: code units are in the order of the bytes. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

function unknownRepository(name: string): Refusal {
  return new Refusal('NAME_UNKNOWN', `there is no repository ${name}`, { detail: { name } })
}
