import { asArray, asObject, asString, parseJson } from '@s3lo/core'
import type { CallOptions } from '@s3lo/core/plugin'
import { pagesOf } from './paged-list.ts'
import { contradiction } from './registry-error.ts'
import { isTag } from './registry-name.ts'
import type { RepositoryApi } from './repository-api.ts'

const TAGS_PER_PAGE = 1000

/** The tags of a repository in the registry's order. Throws `NOT_FOUND` when there is no such repository. */
export async function* listTags(
  api: RepositoryApi,
  { signal }: CallOptions = {},
): AsyncGenerator<string> {
  const what = `the tags of ${api.nameOf({})}`
  const to = api.path(`tags/list?n=${TAGS_PER_PAGE}`)
  for await (const { content } of pagesOf(api, { to, what, expect: [200], signal })) {
    const page = asObject(parseJson(content, what), what)
    // A repository without tags has `null` where Go wrote the answer.
    for (const entry of asArray(page['tags'] ?? [], what)) {
      const tag = asString(entry, what)
      if (!isTag(tag)) throw contradiction(what, `${JSON.stringify(tag.slice(0, 160))} is no tag`)
      yield tag
    }
  }
}
