import { beforeEach, describe, expect, it } from 'vitest'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { digestOf, parseDigest } from '../../src/oci/digest.ts'
import { toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { clean, type CleanOptions } from '../../src/operations/clean.ts'
import type { CleanResult } from '../../src/operations/clean-result.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
  referrerFixture,
} from '../../src/testing/index.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

const app = imageFixture({ layers: ['app'] })
const sbom = referrerFixture(app.root.descriptor, 'application/sbom', 'sbom')
const signature = referrerFixture(sbom.root.descriptor, 'application/sig', 'signature')
const aboutApp = tagAbout(app.root.descriptor.digest)
const aboutSbom = tagAbout(sbom.root.descriptor.digest)

let time: number
let backend: MemoryBackend

/** The tag of the OCI referrers tag schema, cut as the specification cuts it. */
function tagAbout(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${algorithm}-${hex.slice(0, 64)}`
}

function listOf(referrer: ImageFixture): ImageFixture {
  return indexFixture({ 'linux/amd64': referrer })
}

async function run(options: CleanOptions = {}, filter = ''): Promise<CleanResult> {
  time += 2 * DAY
  const store = new ImageStore(backend)
  return clean(store, filter, { graceMs: HOUR, now: () => time, confirm: true, ...options })
}

async function tags(): Promise<readonly string[]> {
  const found = (await Array.fromAsync(backend.list('manifests/'))).map(({ key }) => key)
  return found.filter((key) => key.endsWith('/manifest.json')).map((key) => key.slice(10, -14))
}

beforeEach(async () => {
  time = Date.UTC(2026, 5, 1)
  backend = new MemoryBackend({ now: () => new Date(time) })
  await putImage(backend, { name: 'app', tag: 'v1' }, app)
  await putImage(backend, { name: 'app', tag: aboutApp }, listOf(sbom))
  await putImage(backend, { name: 'app', tag: aboutSbom }, listOf(signature))
})

describe('an index of referrers under a tag', () => {
  it.each([
    ['no rule is set', ''],
    ['a rule keeps its image', 'default: {lifecycle: {max_age: 90d}}'],
  ])('stays with what it is about, a referrer of a kept image too, when %s', async (_, rules) => {
    await backend.put('s3lo.yaml', Buffer.from(rules))
    expect(await run()).toMatchObject({ tags_deleted: 0 })
    expect(await tags()).toEqual(['app/v1', `app/${aboutApp}`, `app/${aboutSbom}`].toSorted())
  })

  it('goes with all that is about it in turn when its image is gone', async () => {
    await backend.delete([manifestKey({ name: 'app', tag: 'v1' })])
    expect(await run()).toMatchObject({ tags_deleted: 2 })
    expect(await tags()).toEqual([])
  })

  it('may name a referrer by a longer digest than a tag has room for', async () => {
    const { content } = sbom.root
    const digest = digestOf(content, 'sha512')
    const manifests = [{ ...sbom.root.descriptor, digest }]
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }
    const root = toDocument(Buffer.from(JSON.stringify(index)), MEDIA_TYPE.ociIndex)
    await backend.put(blobKey(digest), content)
    await backend.put(manifestKey({ name: 'app', tag: aboutApp }), root.content)
    const longer = tagAbout(digest)
    await putImage(backend, { name: 'app', tag: longer }, listOf(signature))
    // Nothing names the SBOM by its sha256 any more.
    expect(await run()).toMatchObject({ tags_deleted: 1 })
    expect(await tags()).toEqual(['app/v1', `app/${aboutApp}`, `app/${longer}`].toSorted())
  })

  it.each([
    ['is not judged, as its image is immutable', 'images: {app: {immutable: true}}', ''],
    ['is outside of what is cleaned', '', 'team/'],
  ])('protects what is about its referrers when it %s', async (_, rules, filter) => {
    await backend.put('s3lo.yaml', Buffer.from(rules))
    await putImage(backend, { name: 'team/more', tag: aboutSbom }, listOf(signature))
    expect(await run({}, filter)).toMatchObject({ tags_deleted: 0 })
  })

  it.each([
    ['cannot be parsed', '{'],
    ['is of an unknown kind', '{"schemaVersion": 1}'],
  ])('deletes nothing where it stays and %s', async (_, text) => {
    await backend.put(manifestKey({ name: 'app', tag: aboutApp }), Buffer.from(text))
    expect(await run()).toMatchObject({ tags_deleted: 0, unreadable: [{}] })
    expect(await tags()).toHaveLength(3)
  })
})
