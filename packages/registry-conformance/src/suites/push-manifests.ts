import type { ConformanceCase, ConformanceSuite } from '../conformance-case.ts'
import {
  ALGORITHMS,
  digestOf,
  documentOf,
  type Image,
  imageOf,
  MEDIA,
  unknownDigest,
} from '../content.ts'
import { expectStatus, expectTrue, locationOf } from '../expect.ts'
import type { Feature } from '../feature.ts'
import type { Reply } from '../http/message.ts'
import { expectDocument, paths, putDocument, putImage, putManifest } from '../protocol.ts'
import { expectCode } from './push-refused.ts'

const kept: ConformanceCase = {
  name: 'a manifest is kept as it is',
  section: 'Pushing manifests',
  needs: ['push'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const { document: plain, blobs } = imageOf()
    const text = `\n\t${plain.bytes.toString().replace('{', '{ "unknown": "\u00fc\\u00fc",  ')}\n\n`
    const bytes = Buffer.from(text)
    const document = { ...plain, bytes, digest: digestOf(bytes) }
    await step('it is pushed', () => putImage(client, repository, { document, blobs }, 'v1'))
    for (const reference of ['v1', document.digest]) {
      const what = reference === 'v1' ? 'its tag' : 'its digest'
      await check(`GET by ${what} gives the same bytes`, async () => {
        const path = paths.manifest(repository, reference)
        expectDocument(context, await client.send({ method: 'GET', path }), document)
      })
    }
    await check('a body of unsaid length is answered 201', async () => {
      const reply = await putManifest(client, repository, 'v2', document, { streamed: true })
      expectStatus(reply, 201)
    })
    await check('a media type with a parameter is kept without it, or refused', async () => {
      const headers = { 'content-type': `${MEDIA.manifest}; charset=utf-8` }
      const reply = await putManifest(client, repository, 'v3', document, { headers })
      expectStatus(reply, 201, 400, 415)
      if (reply.status !== 201) return
      const path = paths.manifest(repository, 'v3')
      expectDocument(context, await client.send({ method: 'GET', path }), document)
    })
  },
}

const moved: ConformanceCase = {
  name: 'a tag that moves',
  section: 'Pushing manifests',
  needs: ['push'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const images = [imageOf(), imageOf(), imageOf()]
    for (const [at, image] of images.entries()) {
      await step(`image ${at + 1} is pushed`, () => putImage(client, repository, image, 'moving'))
      for (const method of ['HEAD', 'GET']) {
        await check(`${method} of the tag gives image ${at + 1} at once`, async () => {
          const path = paths.manifest(repository, 'moving')
          expectDocument(context, await client.send({ method, path }), image.document)
        })
      }
    }
    await check('the first image is there by its digest', async () => {
      const [first = imageOf()] = images
      const path = paths.manifest(repository, first.document.digest)
      expectDocument(context, await client.send({ method: 'GET', path }), first.document)
    })
  },
}

interface Refused {
  readonly name: string
  readonly statuses: readonly number[]
  readonly codes: readonly string[]
  readonly needs?: readonly Feature[]
  readonly put: (
    client: Parameters<typeof putManifest>[0],
    repository: string,
    image: Image,
  ) => Promise<Reply>
}

const REFUSED: readonly Refused[] = [
  {
    name: 'a digest of other bytes',
    statuses: [400],
    codes: ['DIGEST_INVALID', 'MANIFEST_INVALID'],
    put: (client, repository, { document }) => {
      const bytes = Buffer.concat([document.bytes, Buffer.from('  ')])
      return putManifest(client, repository, document.digest, { ...document, bytes })
    },
  },
  {
    name: 'a bad digest',
    statuses: [400],
    codes: ['DIGEST_INVALID', 'MANIFEST_INVALID', 'TAG_INVALID'],
    put: (client, repository, { document }) =>
      putManifest(client, repository, 'sha256:baddigeststring', document),
  },
  {
    name: 'no JSON',
    statuses: [400],
    codes: ['MANIFEST_INVALID'],
    put: (client, repository, { document }) =>
      putManifest(client, repository, 'bad', { ...document, bytes: Buffer.from('{"schema') }),
  },
  {
    name: 'a JSON list',
    statuses: [400],
    codes: ['MANIFEST_INVALID'],
    put: (client, repository, { document }) =>
      putManifest(client, repository, 'bad', { ...document, bytes: Buffer.from('[1, 2]') }),
  },
  {
    name: 'nothing',
    statuses: [400],
    codes: ['MANIFEST_INVALID', 'SIZE_INVALID'],
    put: (client, repository, { document }) =>
      putManifest(client, repository, 'bad', { ...document, bytes: Buffer.alloc(0) }),
  },
  {
    name: 'another media type than its own',
    statuses: [400, 415],
    codes: ['MANIFEST_INVALID'],
    put: (client, repository, { document }) => {
      // It reads as an index and as an image; clients must not see two things in it.
      const value = JSON.parse(document.bytes.toString()) as Record<string, unknown>
      const both = documentOf(MEDIA.manifest, { ...value, manifests: [] })
      return putManifest(client, repository, 'bad', { ...both, mediaType: MEDIA.index })
    },
  },
  {
    name: 'a config that is no descriptor',
    statuses: [400],
    codes: ['MANIFEST_INVALID'],
    put: (client, repository) =>
      putManifest(
        client,
        repository,
        'bad',
        documentOf(MEDIA.manifest, { config: 'x', layers: [] }),
      ),
  },
  {
    name: 'a layer whose digest is a path',
    statuses: [400, 404],
    codes: ['MANIFEST_INVALID', 'DIGEST_INVALID', 'MANIFEST_BLOB_UNKNOWN'],
    put: (client, repository, { document }) => {
      const { config } = JSON.parse(document.bytes.toString()) as { config: unknown }
      const layers = [{ mediaType: MEDIA.layer, digest: 'sha256:../../x', size: 1 }]
      return putManifest(client, repository, 'bad', documentOf(MEDIA.manifest, { config, layers }))
    },
  },
  {
    name: 'a tag of 129 characters',
    statuses: [400, 404],
    codes: ['TAG_INVALID', 'MANIFEST_INVALID', 'NAME_INVALID', 'UNSUPPORTED', 'MANIFEST_UNKNOWN'],
    put: (client, repository, { document }) =>
      putManifest(client, repository, 'a'.repeat(129), document),
  },
  {
    name: 'a tag that begins with a dot',
    statuses: [400, 404],
    codes: ['TAG_INVALID', 'MANIFEST_INVALID', 'NAME_INVALID', 'UNSUPPORTED', 'MANIFEST_UNKNOWN'],
    put: (client, repository, { document }) => putManifest(client, repository, '.tag', document),
  },
]

const refused: readonly ConformanceCase[] = REFUSED.map(({ name, statuses, codes, put }) => ({
  name: `a manifest with ${name}`,
  section: 'Pushing manifests',
  needs: ['push'],
  run: async ({ check, client, repository, step }) => {
    const image = imageOf()
    await step('its blobs are there', () => putImage(client, repository, image))
    let reply: Reply | undefined
    await step(`PUT is answered ${statuses.join(' or ')}`, async () => {
      reply = await put(client, repository, image)
      expectStatus(reply, ...statuses)
    })
    await check(
      'the error has the code of the specification',
      () => reply && expectCode(reply, ...codes),
      ['error-codes'],
    )
    await check('no tag of it is there', async () => {
      const path = paths.manifest(repository, 'bad')
      expectStatus(await client.send({ method: 'HEAD', path }), 404)
    })
  },
}))

const missingParts: ConformanceCase = {
  name: 'a manifest whose layer is not there',
  section: 'Pushing manifests',
  needs: ['push'],
  run: async ({ check, client, has, repository, step }) => {
    const image = imageOf()
    const layer = { mediaType: MEDIA.layer, digest: unknownDigest(), size: 512 }
    const { config } = JSON.parse(image.document.bytes.toString()) as { config: unknown }
    await step('its config is there', () => putImage(client, repository, image))
    const document = documentOf(MEDIA.manifest, { config, layers: [layer] })
    const reply = await step('PUT is answered 400, 404, or 201 where it is taken', async () => {
      const answer = await putManifest(client, repository, 'sparse', document)
      expectStatus(answer, ...(has('sparse') ? [201] : [201, 400, 404]))
      return answer
    })
    if (reply.status === 201) return
    await check('the error is MANIFEST_BLOB_UNKNOWN', () =>
      expectCode(reply, 'MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN'),
    )
  },
}

const tagParameters: readonly ConformanceCase[] = ALGORITHMS.map((algorithm) => ({
  name: `a manifest of ${algorithm} with tags in the query`,
  section: 'Pushing manifests with tags',
  needs: algorithm === 'sha512' ? ['push', 'tag-parameter', 'sha512'] : ['push', 'tag-parameter'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    const digest = digestOf(image.document.bytes, algorithm)
    const tags = Array.from({ length: 10 }, (_, at) => `by-query-${at}`)
    await step('its blobs are there', () => putImage(client, repository, image))
    const reply = await step('PUT by digest is answered 201', async () => {
      const query = tags.map((tag) => `tag=${tag}`).join('&')
      const answer = await putManifest(client, repository, `${digest}?${query}`, image.document)
      expectStatus(answer, 201)
      return answer
    })
    await check('OCI-Tag names each tag', () => {
      const named = reply.values('oci-tag').flatMap((value) => value.split(/\s*,\s*/))
      const lacking = tags.filter((tag) => !named.includes(tag))
      expectTrue(lacking.length === 0, `OCI-Tag for ${lacking.join(', ')}`, named)
    })
    for (const reference of [...tags, digest]) {
      const what = reference === digest ? 'digest' : reference
      await check(`GET by ${what} gives the manifest`, async () => {
        const path = paths.manifest(repository, reference)
        const answer = await client.send({ method: 'GET', path })
        const named = answer.values('docker-content-digest')[0] ?? digest
        expectDocument(context, answer, image.document, reference === digest ? digest : named)
      })
    }
    await check('a tag that is none is answered 400', async () => {
      const wrong = await putManifest(client, repository, `${digest}?tag=.no`, image.document)
      expectStatus(wrong, 400)
    })
  },
}))

const sha512: ConformanceCase = {
  name: 'a manifest by its digest of sha512',
  section: 'Pushing manifests',
  needs: ['push', 'sha512'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    const digest = digestOf(image.document.bytes, 'sha512')
    await step('its blobs are there', () => putImage(client, repository, image))
    const reply = await step('PUT is answered 201', async () => {
      const answer = await putManifest(client, repository, digest, image.document)
      expectStatus(answer, 201)
      return answer
    })
    for (const method of ['HEAD', 'GET']) {
      await check(`${method} by that digest gives it`, async () => {
        const path = paths.manifest(repository, digest)
        expectDocument(context, await client.send({ method, path }), image.document, digest)
      })
    }
    await check('GET of the Location gives it', async () => {
      const answer = await client.send({ method: 'GET', path: locationOf(reply) })
      expectStatus(answer, 200)
    })
  },
}

const large: ConformanceCase = {
  name: 'a manifest that is larger than any registry has to take',
  section: 'Pushing manifests',
  needs: ['push'],
  run: async ({ check, client, repository, step }) => {
    const image = imageOf()
    await step('its blobs are there', () => putImage(client, repository, image))
    const annotations = { filler: 'x'.repeat(12 * 1024 * 1024) }
    await check('PUT is answered 413 or 400, or 201 where it is taken', async () => {
      const value = JSON.parse(image.document.bytes.toString()) as Record<string, unknown>
      const document = documentOf(MEDIA.manifest, { ...value, annotations })
      expectStatus(await putManifest(client, repository, 'large', document), 201, 400, 413)
    })
    await check('the registry answers after it', async () => {
      await putDocument(client, repository, image.document, 'after')
    })
  },
}

export const pushManifestsSuite: ConformanceSuite = {
  name: 'push manifests',
  cases: [kept, moved, ...refused, missingParts, ...tagParameters, sha512, large],
}
