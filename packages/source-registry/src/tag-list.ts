import { asArray, asObject, asString, parseJson } from '@s3lo/core'
import type { CallOptions } from '@s3lo/core/plugin'
import { distinct, pagesOf } from './paged-list.ts'
import { contradiction } from './registry-error.ts'
import type { RegistryAnswer } from './registry-client.ts'
import { isTag } from './registry-name.ts'
import type { RepositoryApi } from './repository-api.ts'

const TAGS_PER_PAGE = 1000
/** What a registry takes that refuses more (Quay); one that refuses this too chooses by itself. */
const FEW_TAGS_PER_PAGE = 100
/** Answers to a page that is too long for a registry. */
const TOO_MANY = [400, 413, 414, 416, 422]

/**
 * The tags of a repository in the registry's order, each once. Throws `NOT_FOUND` when there is no
 * such repository.
 */
export function listTags(
  api: RepositoryApi,
  options: CallOptions = {},
): AsyncGenerator<string, void> {
  return distinct(tagPages(api, options), (tag) => tag)
}

async function* tagPages(
  api: RepositoryApi,
  { signal }: CallOptions,
): AsyncGenerator<readonly string[]> {
  const what = `the tags of ${api.nameOf({})}`
  let count: number | undefined = TAGS_PER_PAGE
  for (;;) {
    const to = api.path(count === undefined ? 'tags/list' : `tags/list?n=${count}`)
    const expect = count === undefined ? [200] : [200, ...TOO_MANY]
    let refused: RegistryAnswer | undefined
    for await (const answer of pagesOf(api, { to, what, expect, signal })) {
      if (answer.status === 200) yield tagsIn(answer, what)
      else refused = answer
    }
    if (!refused) return
    count = fewerThan(count, refused)
  }
}

/** How many to ask for after a refusal: what the registry allows, or what many do. */
function fewerThan(count = 0, { headers }: RegistryAnswer): number | undefined {
  const limit = headers.get('oci-tag-limit')?.trim() ?? ''
  const allowed = /^[1-9]\d{0,8}$/.test(limit) ? Number(limit) : FEW_TAGS_PER_PAGE
  return allowed < count ? allowed : undefined
}

function tagsIn({ content }: RegistryAnswer, what: string): readonly string[] {
  const page = asObject(parseJson(content, what), what)
  // A repository without tags has `null` where Go wrote the answer.
  return asArray(page['tags'] ?? [], what).map((entry) => {
    const tag = asString(entry, what)
    if (!isTag(tag)) throw contradiction(what, `${JSON.stringify(tag.slice(0, 160))} is no tag`)
    return tag
  })
}
