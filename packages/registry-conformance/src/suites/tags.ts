import type { CaseContext, ConformanceCase, ConformanceSuite } from '../conformance-case.ts'
import { Lacking } from '../conformance-case.ts'
import { imageOf } from '../content.ts'
import { expectEqual, expectStatus, expectTrue, jsonOf, nextPage } from '../expect.ts'
import { headerOf, type Reply } from '../http/message.ts'
import { expectDocument, pagesFrom, paths, putDocument, putImage } from '../protocol.ts'

type Lister = Pick<CaseContext, 'client' | 'repository'>

async function list({ client, repository }: Lister, query = ''): Promise<Reply> {
  const reply = await client.send({ method: 'GET', path: paths.tags(repository, query) })
  expectStatus(reply, 200)
  const type = headerOf(reply, 'content-type') ?? ''
  expectTrue(/^application\/json\b/.test(type), 'Content-Type: application/json', type)
  expectEqual('name', jsonOf(reply)['name'], repository)
  return reply
}

function tagsOf(reply: Reply): readonly string[] {
  const { tags } = jsonOf(reply)
  const isList = Array.isArray(tags) && tags.every((tag) => typeof tag === 'string')
  expectTrue(isList, 'a list of tags', tags ?? null)
  return tags as readonly string[]
}

/** All tags, page by page, and how many pages there were. */
async function follow(context: Lister, query: string, atMost: number): Promise<readonly string[]> {
  const all: string[] = []
  const { client, repository } = context
  for await (const reply of pagesFrom(client, paths.tags(repository, query))) {
    expectStatus(reply, 200)
    const tags = tagsOf(reply)
    expectTrue(tags.length <= atMost, `at most ${atMost} tags in a page`, tags.length)
    const isLast = nextPage(reply) === undefined
    expectTrue(tags.length > 0 || isLast, 'a page with tags before the next', 'an empty one')
    all.push(...tags)
  }
  return all
}

async function pushTags(
  { client, repository, step }: CaseContext,
  tags: readonly string[],
): Promise<void> {
  const image = imageOf()
  await step('an image is pushed', () => putImage(client, repository, image))
  await step(`${tags.length} tags are pushed`, () =>
    putDocument(client, repository, image.document, ...tags.toReversed()),
  )
}

/** In byte order, which most spellings of a version contradict. */
const TAGS = [
  '0',
  '1.10',
  '1.9',
  'A',
  'V1',
  '_x',
  'a',
  'b',
  'v1',
  'v1-rc',
  'v1.0',
  'v10',
  'v1_0',
  'z',
]
const byBytes = (a: string, b: string): number => (a < b ? -1 : 1)
const SORTED = TAGS.toSorted(byBytes)
const FOLDED = SORTED.toSorted((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))

const empty: ConformanceCase = {
  name: 'tags of an empty repository',
  section: 'Listing tags',
  needs: ['tag-list'],
  run: async ({ check, client, repository }) => {
    await check('GET is answered 200 or 404', async () => {
      const reply = await client.send({ method: 'GET', path: paths.tags(repository) })
      expectStatus(reply, 200, 404)
      if (reply.status === 200) jsonOf(reply)
    })
  },
}

const small: ConformanceCase = {
  name: 'tags in order, in pages',
  section: 'Listing tags',
  needs: ['push', 'tag-list', 'tag-pages'],
  run: async (context) => {
    const { check, step } = context
    await pushTags(context, TAGS)
    const all = await step('GET gives all tags', async () => {
      const tags = tagsOf(await list(context))
      expectEqual('tags', tags.toSorted(byBytes), SORTED)
      return tags
    })
    await check('they are in lexical or ASCII order', () => {
      const isFolded = JSON.stringify(all) === JSON.stringify(FOLDED)
      if (!isFolded) expectEqual('tags', all, SORTED)
    })
    for (const n of [1, 2, 7, TAGS.length - 1, TAGS.length, TAGS.length + 1]) {
      await check(`n=${n} gives the first ${n}, and a Link where there are more`, async () => {
        const reply = await list(context, `?n=${n}`)
        expectEqual('tags', tagsOf(reply), all.slice(0, n))
        expectEqual('a Link', nextPage(reply) !== undefined, n < all.length)
      })
      await check(`the Links from n=${n} lead through all tags`, async () => {
        expectEqual('tags', await follow(context, `?n=${n}`, n), all)
      })
    }
    await check('n=0 gives none, and no Link', async () => {
      const reply = await list(context, '?n=0')
      expectEqual('tags', jsonOf(reply)['tags'] ?? [], [])
      expectEqual('Link', headerOf(reply, 'link') ?? 'none', 'none')
    })
    for (const last of [all[0], all[6], all.at(-1)]) {
      await check(`last=${last} gives those after it`, async () => {
        const reply = await list(context, `?last=${last}`)
        const expected = all.slice(all.indexOf(last ?? '') + 1)
        expectEqual('tags', jsonOf(reply)['tags'] ?? [], expected)
      })
    }
    await check('last and n give a window', async () => {
      const reply = await list(context, `?last=${all[3]}&n=3`)
      expectEqual('tags', tagsOf(reply), all.slice(4, 7))
    })
    await check('last of a tag that is not there gives those after it', async () => {
      expectEqual('tags', tagsOf(await list(context, '?last=v1.')), all.slice(all.indexOf('v1.0')))
    })
    for (const n of ['-1', 'x', '1.5', '99999999999999999999']) {
      await check(`n=${n} is refused or ignored`, async () => {
        const path = paths.tags(context.repository, `?n=${n}`)
        const reply = await context.client.send({ method: 'GET', path })
        expectStatus(reply, 200, 400)
      })
    }
  },
}

const many: ConformanceCase = {
  name: 'many tags',
  section: 'Listing tags',
  needs: ['push', 'tag-list', 'tag-pages'],
  run: async (context) => {
    const { check, tags: count } = context
    const tags = Array.from({ length: count }, (_, at) => `t${String(at).padStart(6, '0')}`)
    await pushTags(context, tags)
    for (const n of [7, 1000]) {
      await check(`n=${n} leads through all ${count}`, async () => {
        expectEqual('tags', await follow(context, `?n=${n}`, n), tags)
      })
    }
    await check('without n, the Links lead through all', async () => {
      expectEqual('tags', await follow(context, '', count), tags)
    })
  },
}

const NAMES = ['a', '_', '0', 'A.b-c_d', 'a'.repeat(128), 'latest', 'v1..2', 'a--b', '_.-']

const names: ConformanceCase = {
  name: 'every spelling of a tag',
  section: 'Pushing manifests',
  needs: ['push'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    await step('an image is pushed', () => putImage(client, repository, image))
    for (const tag of NAMES) {
      const shown = tag.length > 20 ? `a tag of ${tag.length} characters` : tag
      await check(`${shown} is taken`, () => putDocument(client, repository, image.document, tag))
      await check(`${shown} is read`, async () => {
        const path = paths.manifest(repository, tag)
        expectDocument(context, await client.send({ method: 'GET', path }), image.document)
      })
    }
  },
}

const neighbours: ConformanceCase = {
  name: 'repositories inside of repositories',
  section: 'Listing tags',
  needs: ['push', 'tag-list'],
  run: async ({ check, client, repository, step }) => {
    const inner = { client, repository: `${repository}/inner` }
    const beside = { client, repository: `${repository}-beside` }
    const all = [{ client, repository }, inner, beside]
    for (const [at, place] of all.entries()) {
      await step(`an image is pushed to ${['one', 'one inside', 'one beside'][at]}`, () =>
        putImage(client, place.repository, imageOf(), `only-${at}`),
      )
    }
    for (const [at, place] of all.entries()) {
      await check(`repository ${at + 1} has its own tags only`, async () => {
        expectEqual('tags', tagsOf(await list(place)), [`only-${at}`])
      })
    }
  },
}

const catalog: ConformanceCase = {
  name: 'catalog',
  section: 'beyond',
  needs: ['push', 'catalog'],
  run: async ({ check, client, repository, step }) => {
    await step('an image is pushed', () => putImage(client, repository, imageOf(), 'v1'))
    await check('the Links of the catalog lead to the repository', async () => {
      const found: unknown[] = []
      for await (const reply of pagesFrom(client, '/v2/_catalog?n=100')) {
        if ([401, 403, 404, 405].includes(reply.status)) {
          throw new Lacking('catalog', `GET is answered ${reply.status}`)
        }
        expectStatus(reply, 200)
        const { repositories } = jsonOf(reply)
        expectTrue(Array.isArray(repositories), 'a list of repositories', repositories ?? null)
        found.push(...(repositories as unknown[]))
      }
      expectTrue(found.includes(repository), repository, 'a catalog without it')
      expectEqual('repositories that are named twice', found.length - new Set(found).size, 0)
    })
  },
}

export const tagsSuite: ConformanceSuite = {
  name: 'tags',
  cases: [empty, small, many, names, neighbours, catalog],
}
