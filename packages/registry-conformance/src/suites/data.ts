import type { CaseContext, ConformanceCase, ConformanceSuite } from '../conformance-case.ts'
import { blobDigest, DATA_SETS, type DataSet, type DataSetKind } from '../data-sets.ts'
import { expectEqual, expectHeader, expectStatus, jsonOf, locationOf } from '../expect.ts'
import {
  expectBlob,
  expectDeleted,
  expectDocument,
  expectGone,
  paths,
  putManifest,
} from '../protocol.ts'
import { WAYS } from './push-blobs.ts'
import { expectFiltered, expectReferrers, listReferrers } from './referrers.ts'

const READS = ['HEAD', 'GET'] as const

async function push(context: CaseContext, set: DataSet): Promise<void> {
  const { check, client, has, repository, step } = context
  const ways = WAYS.filter(({ needs = [] }) => needs.every(has))
  for (const [at, blob] of set.blobs.entries()) {
    const way = ways[at % ways.length]
    if (way === undefined) throw new Error('expected a way of uploading, got none')
    const named = { ...context, step: prefixed(step, `blob ${at + 1}, ${way.name}`) }
    await way.upload(named, blob, blobDigest(set, blob))
  }
  for (const [at, { document, tag }] of set.manifests.entries()) {
    for (const reference of tag === undefined ? [document.digest] : [document.digest, tag]) {
      const what = `manifest ${at + 1} by ${reference === tag ? 'tag' : 'digest'}`
      const reply = await step(`${what}: PUT is answered 201`, async () => {
        const answer = await putManifest(client, repository, reference, document)
        expectStatus(answer, 201)
        return answer
      })
      await check(`${what}: GET of the Location gives it`, async () => {
        const answer = await client.send({ method: 'GET', path: locationOf(reply) })
        expectDocument(context, answer, document)
      })
      const { subject } = document
      if (subject === undefined) continue
      await check(
        `${what}: OCI-Subject names its subject`,
        () => expectHeader(reply, 'oci-subject', subject.digest),
        ['referrers'],
      )
    }
  }
}

function prefixed(step: CaseContext['step'], prefix: string): CaseContext['step'] {
  return (name, body) => step(`${prefix}: ${name}`, body)
}

const byBytes = (a: string, b: string): number => (a < b ? -1 : 1)

async function listTags({ check, client, repository }: CaseContext, set: DataSet): Promise<void> {
  const tags = set.manifests.flatMap(({ tag }) => tag ?? []).toSorted(byBytes)
  if (tags.length === 0) return
  await check(
    'the list of tags has all',
    async () => {
      const reply = await client.send({ method: 'GET', path: paths.tags(repository) })
      expectStatus(reply, 200)
      const { tags: listed } = jsonOf(reply)
      // Their order is another check.
      expectEqual('tags', Array.isArray(listed) ? listed.toSorted(byBytes) : listed, tags)
    },
    ['tag-list'],
  )
  const middle = Math.floor((tags.length - 1) / 2)
  await check(
    'the list of tags from the middle has the later half',
    async () => {
      const path = paths.tags(repository, `?last=${tags[middle]}`)
      const reply = await client.send({ method: 'GET', path })
      expectStatus(reply, 200)
      expectEqual('tags', jsonOf(reply)['tags'] ?? [], tags.slice(middle + 1))
    },
    ['tag-list', 'tag-pages'],
  )
}

async function read(context: CaseContext, set: DataSet): Promise<void> {
  const { check, client, repository } = context
  for (const method of READS) {
    for (const [at, { document, tag }] of set.manifests.entries()) {
      for (const reference of tag === undefined ? [document.digest] : [tag, document.digest]) {
        const what = reference === tag ? 'tag' : 'digest'
        await check(`${method} of manifest ${at + 1} by ${what}`, async () => {
          const path = paths.manifest(repository, reference)
          expectDocument(context, await client.send({ method, path }), document)
        })
      }
    }
    for (const [at, blob] of set.blobs.entries()) {
      await check(`${method} of blob ${at + 1}`, async () => {
        const digest = blobDigest(set, blob)
        const path = paths.blob(repository, digest)
        expectBlob(context, await client.send({ method, path }), blob, digest)
      })
    }
  }
}

async function listReferring(context: CaseContext, set: DataSet): Promise<void> {
  for (const [subject, referrers] of set.referrers ?? []) {
    await context.check(
      'the referrers are listed with all that is known of them',
      async () => expectReferrers((await listReferrers(context, subject)).descriptors, referrers),
      ['referrers'],
    )
    for (const { artifactType = '' } of referrers) {
      await context.check(
        `the referrers of ${artifactType} are listed alone`,
        () => expectFiltered(context, subject, artifactType, referrers),
        ['referrers', 'referrers-filter'],
      )
    }
  }
}

async function remove(context: CaseContext, set: DataSet): Promise<void> {
  const { check, client, repository } = context
  const removals = [
    ...set.manifests.flatMap(({ tag }) =>
      tag === undefined
        ? []
        : [
            {
              what: `tag ${tag}`,
              path: paths.manifest(repository, tag),
              need: 'tag-delete' as const,
            },
          ],
    ),
    ...set.manifests.toReversed().map(({ document }, at) => ({
      what: `manifest ${set.manifests.length - at}`,
      path: paths.manifest(repository, document.digest),
      need: 'manifest-delete' as const,
    })),
    ...[...new Set(set.blobs.map((blob) => blobDigest(set, blob)))].map((digest, at) => ({
      what: `blob ${at + 1}`,
      path: paths.blob(repository, digest),
      need: 'blob-delete' as const,
    })),
  ]
  for (const { what, path, need } of removals) {
    let isDeleted = false
    await check(
      `DELETE of ${what}`,
      async () => {
        await expectDeleted(client, path, need)
        isDeleted = true
      },
      [need],
    )
    if (!isDeleted) continue
    await check(`HEAD of ${what} after it is answered 404`, () => expectGone(client, path), [
      'delete-atomic',
    ])
  }
}

function caseOf({ name, needs, make }: DataSetKind): ConformanceCase {
  return {
    name,
    section: 'Pull, push, content discovery and management',
    needs: ['push', ...needs],
    run: async (context) => {
      const set = make()
      await push(context, set)
      await listTags(context, set)
      await read(context, set)
      await listReferring(context, set)
      await remove(context, set)
    },
  }
}

export const dataSuite: ConformanceSuite = { name: 'data', cases: DATA_SETS.map(caseOf) }
