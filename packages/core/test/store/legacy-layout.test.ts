import { beforeEach, describe, expect, it } from 'vitest'
import { clean } from '../../src/operations/clean.ts'
import { attachArtifact } from '../../src/operations/attach-artifact.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  imageFixture,
  type ImageFixture,
  type MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const old = imageFixture({ layers: ['old'] })
const other = imageFixture({ layers: ['other'] })
const DAY = 86_400_000

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  world.images['other:v1'] = other
  await putLegacy('app', 'v1', old)
})

/** As version 1.0.0 of the layout has it: everything of a tag in its own folder. */
async function putLegacy(
  image: string,
  tag: string,
  { root, content }: ImageFixture,
): Promise<void> {
  const folder = `${image}/${tag}/`
  for (const [digest, bytes] of content) {
    await bucket.put(`${folder}blobs/sha256/${digest.slice(7)}`, bytes)
  }
  for (const file of ['config.json', 'index.json', 'oci-layout']) {
    await bucket.put(folder + file, Buffer.from('{}'))
  }
  await bucket.put(`${folder}manifest.json`, root.content)
}

async function keys(prefix = ''): Promise<readonly string[]> {
  return (await Array.fromAsync(bucket.list(prefix))).map(({ key }) => key)
}

function sizeOf({ content }: ImageFixture): number {
  return [...content.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
}

describe('a tag of layout v1.0.0', () => {
  it('is in list, inspect, history and stats, with what it takes', async () => {
    const { digest } = old.root.descriptor
    expect(await world.host.list('mem://b/')).toEqual([{ name: 'app', tags: ['v1'] }])
    expect(await world.host.inspect('mem://b/app:v1')).toMatchObject({ digest })
    expect(await world.host.inspect(`mem://b/app@${digest}`)).toMatchObject({ digest })
    const row = { tag: 'v1', digest, size_bytes: sizeOf(old) }
    expect(await world.host.history('mem://b/app')).toMatchObject({ of: 'image', rows: [row] })
    expect((await world.host.history('mem://b/')).rows).toMatchObject([{ name: 'app', tags: 1 }])
    const counted = { tags: 1, legacy_tags: 1, logical_bytes: sizeOf(old), dedup_savings: 0 }
    expect(await world.host.stats('mem://b/')).toMatchObject({
      ...counted,
      blob_bytes: sizeOf(old),
    })
    await putLegacy('team/app', 'v1', old)
    const narrowed = { ...counted, blob_bytes: 2 * sizeOf(old) }
    expect(await world.host.stats('mem://b/team')).toMatchObject(narrowed)
  })

  it('is whole for doctor, or broken by name, and copy is named as the way out', async () => {
    const whole = await world.host.doctor('mem://b/', { probe: false })
    expect(whole).toMatchObject({ layout_ok: true, ok: true, legacy_tags: ['app:v1'] })
    expect(whole.findings.map(({ hint }) => hint)).toContainEqual(
      expect.stringContaining('s3lo copy memory://b/app:v1 memory://b/app:v1'),
    )
    const [digest, bytes] = [...old.content][0]!
    await bucket.put(`app/v1/blobs/sha256/${digest.slice(7)}`, Buffer.alloc(bytes.byteLength))
    expect(await world.host.doctor('mem://b/', { probe: false })).toMatchObject({ ok: true })
    const deep = await world.host.doctor('mem://b/', { probe: false, deep: true })
    const damaged = { image: 'app:v1', blobs: [{ digest, problem: 'damaged' }] }
    expect(deep).toMatchObject({ broken: true, manifest_issues: [damaged] })
    await bucket.delete([`app/v1/blobs/sha256/${digest.slice(7)}`])
    const missing = { image: 'app:v1', blobs: [{ digest, problem: 'missing' }] }
    const broken = await world.host.doctor('mem://b/', { probe: false })
    expect(broken).toMatchObject({ broken: true, manifest_issues: [missing] })
  })

  it('is deleted with everything in its folder, and no neighbour is', async () => {
    await putLegacy('app/v1', 'nested', other)
    await putLegacy('app', 'v10', other)
    await putLegacy('app/v1/blobs/sha256', 'v1', other)
    await world.host.delete('mem://b/app:v1')
    const left = await keys('app/')
    expect(left.filter((key) => /^app\/v1\/(?:[^/]+|blobs\/sha256\/[^/]+)$/.test(key))).toEqual([])
    expect(left).toHaveLength(18)
    await expect(world.host.inspect('mem://b/app:v1')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('does not come back when the tag of the present layout that hides it is deleted', async () => {
    await world.host.push('fix:other:v1', 'mem://b/app:v1')
    expect((await world.host.history('mem://b/app')).rows).toHaveLength(1)
    await world.host.delete('mem://b/app:v1')
    expect(await world.host.list('mem://b/')).toEqual([])
    expect(await keys('app/')).toEqual([])
  })

  it('keeps to immutability in push, copy and delete, and is the same image for its own repeat', async () => {
    await bucket.put('s3lo.yaml', Buffer.from('default: {immutable: true}\n'))
    for (const change of [
      () => world.host.push('fix:other:v1', 'mem://b/app:v1'),
      () => world.host.copy('fix:other:v1', 'mem://b/app:v1'),
      () => world.host.delete('mem://b/app:v1'),
    ]) {
      await expect(change()).rejects.toMatchObject({ code: 'CONFLICT' })
    }
    await world.host.copy('mem://b/app:v1', 'mem://b/app:v1')
  })

  it('is brought to the present layout by a copy onto itself', async () => {
    await world.host.copy('mem://b/app:v1', 'mem://b/app:v1')
    expect(await keys('manifests/app/v1/')).toContain('manifests/app/v1/manifest.json')
    const report = await world.host.doctor('mem://b/', { probe: false, deep: true })
    expect(report).toMatchObject({ ok: true })
    expect(report.legacy_tags).toBeUndefined()
  })

  it('is judged by retention, and dropped with its folder', async () => {
    await bucket.put('s3lo.yaml', Buffer.from('default: {lifecycle: {max_age: 30d}}\n'))
    await bucket.put('web/site/manifest.json', Buffer.from('{"name": "a web page"}'))
    const store = new ImageStore(bucket)
    const now = (): number => Date.now() + 31 * DAY
    expect(await clean(store, '', { now })).toMatchObject({ tags_evaluated: 1, tags_deleted: 1 })
    const result = await clean(store, '', { now, confirm: true })
    expect(result).toMatchObject({ tags_deleted: 1, failed: [], unreadable: [] })
    expect(await keys('app/')).toEqual([])
    expect(await keys('web/')).toEqual(['web/site/manifest.json'])
  })

  it('keeps what refers to it from a collection', async () => {
    const store = new ImageStore(bucket)
    const sbom = { mediaType: 'application/sbom', content: Buffer.from('{}') }
    await attachArtifact(store, { repository: 'app', subject: old.root.descriptor }, sbom)
    await store.close()
    const before = await keys('.s3lo/repositories/')
    expect(before).toHaveLength(2)
    await clean(new ImageStore(bucket), '', { confirm: true, graceMs: 0 })
    expect(await keys('.s3lo/repositories/')).toEqual(before)
  })
})

describe('a manifest.json of another program', () => {
  it('is no image, and stands in the way of nothing', async () => {
    await putImage(bucket, { name: 'new', tag: 'v1' }, other)
    await bucket.put('web/site/manifest.json', Buffer.from('{"name": "a web page"}'))
    const listed = await world.host.list('mem://b/')
    expect(listed.map(({ name }) => name)).toEqual(['app', 'new'])
    const report = await world.host.doctor('mem://b/', { probe: false })
    expect(report).toMatchObject({ ok: true, broken: false })
    const result = await clean(new ImageStore(bucket), '', { confirm: true, graceMs: 0 })
    expect(result).toMatchObject({ unreadable: [], deleted: 0 })
    await expect(world.host.delete('mem://b/web:site')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await keys('web/')).toHaveLength(1)
  })
})
