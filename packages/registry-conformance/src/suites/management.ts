import { type ConformanceCase, type ConformanceSuite, Lacking } from '../conformance-case.ts'
import { digestOf, imageOf, randomBlob, unknownDigest } from '../content.ts'
import { expectEqual, expectStatus, jsonOf, locationOf, Mismatch } from '../expect.ts'
import type { Feature } from '../feature.ts'
import { headerOf } from '../http/message.ts'
import {
  beginUpload,
  expectBlob,
  expectDeleted,
  expectDocument,
  expectGone,
  expectProgress,
  finishUpload,
  OCTETS,
  paths,
  putBlob,
  putDocument,
  putImage,
  putUpload,
  sendChunk,
} from '../protocol.ts'
import { begin } from './push-blobs.ts'

const cancel: readonly ConformanceCase[] = [0, 1024].map((size) => ({
  name: `an upload with ${size} bytes is cancelled`,
  section: 'Canceling an upload',
  needs: ['push', 'upload-cancel'],
  run: async (context) => {
    const { check, client, step } = context
    const { location } = await begin(context)
    const blob = randomBlob(1024)
    const next =
      size === 0
        ? location
        : await step('a chunk is answered 202', async () =>
            expectProgress(await sendChunk(client, location, blob, 0), 202, size),
          )
    await step('DELETE is answered 204', async () => {
      expectStatus(await client.send({ method: 'DELETE', path: next }), 204)
    })
    await check('GET of it is answered 404', async () => {
      expectStatus(await client.send({ method: 'GET', path: next }), 404)
    })
    await check('a chunk for it is answered 404', async () => {
      expectStatus(await sendChunk(client, next, blob, size), 404)
    })
    await check('PUT of it is answered 404', async () => {
      const body = size === 0 ? { body: blob } : {}
      expectStatus(await putUpload(client, next, digestOf(blob), body), 404)
    })
    await check('DELETE of it is answered 404', async () => {
      expectStatus(await client.send({ method: 'DELETE', path: next }), 404)
    })
  },
}))

const replay: ConformanceCase = {
  name: 'the PUT of an upload is repeated',
  section: 'beyond',
  needs: ['push', 'put-replay'],
  run: async (context) => {
    const { check, client, repository } = context
    const { location } = await begin(context)
    const body = randomBlob()
    const digest = digestOf(body)
    await context.step('PUT is answered 201', () =>
      finishUpload(client, location, digest, { body }),
    )
    await check('the same PUT is answered 201 or 404', async () => {
      expectStatus(await putUpload(client, location, digest, { body }), 201, 404)
    })
    await check('the blob is there', async () => {
      const path = paths.blob(repository, digest)
      expectBlob(context, await client.send({ method: 'GET', path }), body, digest)
    })
  },
}

const tagDelete: ConformanceCase = {
  name: 'a tag is deleted',
  section: 'Deleting tags',
  needs: ['push', 'tag-delete'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    await step('an image is pushed under two tags', () =>
      putImage(client, repository, image, 'gone', 'kept'),
    )
    const path = paths.manifest(repository, 'gone')
    await step('DELETE is answered 202', () => expectDeleted(client, path, 'tag-delete'))
    await check('HEAD of it is answered 404', () => expectGone(client, path), ['delete-atomic'])
    await check('GET of it is answered 404', async () => {
      expectStatus(await client.send({ method: 'GET', path }), 404)
    })
    for (const reference of ['kept', image.document.digest]) {
      const what = reference === 'kept' ? 'the other tag' : 'the digest'
      await check(`${what} is there`, async () => {
        const kept = paths.manifest(repository, reference)
        expectDocument(context, await client.send({ method: 'GET', path: kept }), image.document)
      })
    }
    await check(
      'the list of tags has the other one only',
      async () => {
        const reply = await client.send({ method: 'GET', path: paths.tags(repository) })
        expectEqual('tags', jsonOf(reply)['tags'], ['kept'])
      },
      ['tag-list'],
    )
    await check('DELETE again is answered 404', async () => {
      expectStatus(await client.send({ method: 'DELETE', path }), 404)
    })
    await check('the tag can be pushed again', async () => {
      await putDocument(client, repository, image.document, 'gone')
      expectDocument(context, await client.send({ method: 'GET', path }), image.document)
    })
  },
}

const manifestDelete: ConformanceCase = {
  name: 'a manifest is deleted',
  section: 'Deleting manifests',
  needs: ['push', 'manifest-delete'],
  run: async (context) => {
    const { check, client, repository, otherRepository, step } = context
    const [image, other] = [imageOf(), imageOf()]
    await step('two images are pushed', async () => {
      await putImage(client, repository, image, 'v1', 'v2')
      await putImage(client, repository, other, 'other')
    })
    await step('the first is pushed to another repository', () =>
      putImage(client, otherRepository, image, 'v1'),
    )
    const path = paths.manifest(repository, image.document.digest)
    await step('DELETE by digest is answered 202', () =>
      expectDeleted(client, path, 'manifest-delete'),
    )
    await check('HEAD by digest is answered 404', () => expectGone(client, path), ['delete-atomic'])
    for (const tag of ['v1', 'v2']) {
      await check(`GET by the tag ${tag} is answered 404`, async () => {
        const tagged = paths.manifest(repository, tag)
        expectStatus(await client.send({ method: 'GET', path: tagged }), 404)
      })
    }
    await check(
      'the list of tags has the other image only',
      async () => {
        const reply = await client.send({ method: 'GET', path: paths.tags(repository) })
        expectEqual('tags', jsonOf(reply)['tags'], ['other'])
      },
      ['tag-list'],
    )
    await check('the other image is there', async () => {
      const there = paths.manifest(repository, 'other')
      expectDocument(context, await client.send({ method: 'GET', path: there }), other.document)
    })
    await check('the other repository has it', async () => {
      const there = paths.manifest(otherRepository, image.document.digest)
      expectDocument(context, await client.send({ method: 'GET', path: there }), image.document)
    })
    await check('DELETE again is answered 404', async () => {
      expectStatus(await client.send({ method: 'DELETE', path }), 404)
    })
    await check('it can be pushed again', async () => {
      await putImage(client, repository, image, 'v1')
      expectDocument(context, await client.send({ method: 'GET', path }), image.document)
    })
  },
}

const blobDelete: ConformanceCase = {
  name: 'a blob is deleted',
  section: 'Deleting blobs',
  needs: ['push', 'blob-delete'],
  run: async (context) => {
    const { check, client, repository, otherRepository, step } = context
    const blob = randomBlob()
    const digest = digestOf(blob)
    await step('a blob is pushed to two repositories', async () => {
      await putBlob(client, repository, blob)
      await putBlob(client, otherRepository, blob)
    })
    const path = paths.blob(repository, digest)
    await step('DELETE is answered 202', () => expectDeleted(client, path, 'blob-delete'))
    await check('HEAD of it is answered 404', () => expectGone(client, path), ['delete-atomic'])
    await check('GET of it is answered 404', async () => {
      expectStatus(await client.send({ method: 'GET', path }), 404)
    })
    await check('DELETE again is answered 404', async () => {
      expectStatus(await client.send({ method: 'DELETE', path }), 404)
    })
    await check('the other repository has it', async () => {
      const there = paths.blob(otherRepository, digest)
      expectBlob(context, await client.send({ method: 'GET', path: there }), blob, digest)
    })
    await check('it can be pushed again', async () => {
      await putBlob(client, repository, blob)
      expectBlob(context, await client.send({ method: 'GET', path }), blob, digest)
    })
  },
}

interface MissingDelete {
  readonly name: string
  readonly feature: Feature
  readonly path: (repository: string) => string
}

const MISSING: readonly MissingDelete[] = [
  {
    name: 'a tag',
    feature: 'tag-delete',
    path: (repository) => paths.manifest(repository, 'missing'),
  },
  {
    name: 'a manifest',
    feature: 'manifest-delete',
    path: (repository) => paths.manifest(repository, unknownDigest()),
  },
  {
    name: 'a blob',
    feature: 'blob-delete',
    path: (repository) => paths.blob(repository, unknownDigest()),
  },
]

const missing: readonly ConformanceCase[] = MISSING.map(({ name, feature, path }) => ({
  name: `${name} that is not there is deleted`,
  section: 'Content management',
  needs: ['push', feature],
  run: async ({ check, client, repository, step }) => {
    await step('the repository is there', () => putImage(client, repository, imageOf(), 'v1'))
    await check('it is answered 404', async () => {
      const reply = await client.send({ method: 'DELETE', path: path(repository) })
      if ([400, 405].includes(reply.status)) {
        throw new Lacking(feature, `DELETE is answered ${reply.status}`)
      }
      expectStatus(reply, 404)
    })
  },
}))

const isolated: ConformanceCase = {
  name: 'a repository shows its own content only',
  section: 'beyond',
  needs: ['push'],
  run: async ({ check, client, repository, otherRepository, step }) => {
    const image = imageOf()
    const digest = digestOf(image.blobs[0] ?? Buffer.alloc(0))
    await step('an image is pushed', () => putImage(client, repository, image, 'v1'))
    await step('another one is pushed elsewhere', () =>
      putImage(client, otherRepository, imageOf(), 'other'),
    )
    for (const [what, path] of [
      ['tag', paths.manifest(otherRepository, 'v1')],
      ['manifest', paths.manifest(otherRepository, image.document.digest)],
      ['blob', paths.blob(otherRepository, digest)],
    ] as const) {
      await check(`the other repository does not have its ${what}`, async () => {
        expectStatus(await client.send({ method: 'HEAD', path }), 404)
      })
    }
    await check('an upload of one is none of the other', async () => {
      const { location } = await beginUpload(client, repository)
      const path = location.replace(`/${repository}/`, `/${otherRepository}/`)
      expectStatus(await client.send({ method: 'GET', path }), 404, 400)
    })
  },
}

const algorithm: ConformanceCase = {
  name: 'an upload whose algorithm is said beforehand',
  section: 'Pushing blobs',
  needs: ['push', 'digest-algorithm', 'sha512'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const body = randomBlob()
    const digest = digestOf(body, 'sha512')
    const location = await step('POST is answered 202', async () => {
      const path = paths.uploads(repository, '?digest-algorithm=sha512')
      const reply = await client.send({ method: 'POST', path })
      expectStatus(reply, 202)
      return locationOf(reply)
    })
    const next = await step('a stream is answered 202', async () => {
      const request = { method: 'PATCH', path: location, body, streamed: true, headers: OCTETS }
      return expectProgress(await client.send(request), 202, body.byteLength)
    })
    const where = await step('PUT is answered 201', () => finishUpload(client, next, digest))
    await check('GET of the Location gives the blob', async () => {
      const reply = await client.send({ method: 'GET', path: where })
      expectBlob(context, reply, body, digest)
      const named = headerOf(reply, 'docker-content-digest')
      if (named !== digest) throw new Mismatch('Docker-Content-Digest', digest, named)
    })
  },
}

export const managementSuite: ConformanceSuite = {
  name: 'management',
  cases: [
    ...cancel,
    replay,
    tagDelete,
    manifestDelete,
    blobDelete,
    ...missing,
    isolated,
    algorithm,
  ],
}
