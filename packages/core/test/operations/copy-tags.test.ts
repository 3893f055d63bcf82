import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { hasTagPattern, parseTaggedEnd } from '../../src/image-end.ts'
import { parseReference } from '../../src/layout/store-reference.ts'
import { historyKey } from '../../src/layout/keys.ts'
import { readHistory } from '../../src/store/history.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { attachReferrer, imageFixture, putImage, referrerFixture } from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const images = ['one', 'two', 'three'].map((label) => imageFixture({ layers: ['base', label] }))
const TAGS = ['v1.0', 'v1.1', 'v2.0']

let world: MemoryWorld

beforeEach(async () => {
  world = new MemoryWorld()
  for (const [i, image] of images.entries()) {
    await putImage(world.bucket('b'), { name: 'app', tag: TAGS[i] ?? '' }, image)
  }
})

describe('copying several tags', () => {
  it('copies every tag of one image, and no other image', async () => {
    await putImage(world.bucket('b'), { name: 'app/nested', tag: 'v1' }, images[0]!)
    const result = await world.host.copyTags('mem://b/app', 'mem://c/team/app')
    expect(result).toMatchObject({ tags_copied: 3, tags_failed: 0, blobs_copied: 7 })
    expect(result.tags.map(({ tag, action }) => [tag, action])).toEqual(
      TAGS.map((tag) => [tag, 'copy']),
    )
    expect(await world.host.list('mem://c')).toEqual([{ name: 'team/app', tags: TAGS }])
  })

  it('copies those that a pattern selects', async () => {
    await world.host.copyTags('mem://b/app:v1.*', 'mem://c/app')
    expect(await world.host.list('mem://c')).toEqual([{ name: 'app', tags: ['v1.0', 'v1.1'] }])
  })

  it('tells what is new, what changes and what stays, and in a dry run does nothing', async () => {
    await putImage(world.bucket('c'), { name: 'app', tag: 'v1.0' }, images[0]!)
    await putImage(world.bucket('c'), { name: 'app', tag: 'v1.1' }, images[0]!)
    const before = await Array.fromAsync(world.bucket('c').list(''))
    const plan = await world.host.copyTags('mem://b/app', 'mem://c/app', { dryRun: true })
    expect(plan).toMatchObject({
      dry_run: true,
      tags: [
        { tag: 'v1.0', action: 'unchanged' },
        { tag: 'v1.1', action: 'replace', previous_digest: images[0]!.root.descriptor.digest },
        { tag: 'v2.0', action: 'copy', digest: images[2]!.root.descriptor.digest },
      ],
    })
    expect(await Array.fromAsync(world.bucket('c').list(''))).toEqual(before)
    expect(await world.host.copyTags('mem://b/app', 'mem://c/app')).toMatchObject({
      tags_copied: 2,
      tags_unchanged: 1,
    })
  })

  it('brings a signature that came after the image, and leaves the tag alone', async () => {
    await world.host.copyTags('mem://b/app', 'mem://c/app')
    const subject = images[0]!.root.descriptor
    const { root, content } = referrerFixture(subject, 'a/signature', 'late')
    const place = { repository: 'app', subject }
    await attachReferrer(new ImageStore(world.bucket('b')), root, place, ({ digest }) =>
      Promise.resolve(Readable.from([content.get(digest)!])),
    )
    const again = await world.host.copyTags('mem://b/app', 'mem://c/app')
    expect(again).toMatchObject({ tags_unchanged: 3, referrers_copied: 1, bytes_copied: 0 })
    const key = historyKey({ name: 'app', tag: 'v1.0' })
    expect(await readHistory(world.bucket('c'), key)).toHaveLength(1)
  })

  it('continues after a tag that fails, and says which', async () => {
    const digest = [...images[1]!.content.keys()].find((key) => !images[0]!.content.has(key))
    await world.bucket('b').delete([`blobs/sha256/${digest?.slice(7)}`])
    const seen: string[] = []
    const result = await world.host.copyTags('mem://b/app', 'mem://c/app', {
      onTag: ({ tag, action }) => seen.push(`${tag} ${action}`),
    })
    expect(seen).toEqual(['v1.0 copy', 'v1.1 failed', 'v2.0 copy'])
    expect(result).toMatchObject({ tags_copied: 2, tags_failed: 1 })
    expect(result.tags[1]).toMatchObject({ error: { code: 'NOT_FOUND' } })
  })

  it('takes what refers to an image along instead of copying it as a tag', async () => {
    const tag = `sha256-${images[0]!.root.descriptor.digest.slice(7)}.sig`
    await putImage(world.bucket('b'), { name: 'app', tag }, imageFixture({ layers: ['sig'] }))
    const result = await world.host.copyTags('mem://b/app:v1.0*', 'mem://c/app')
    expect(result.tags.map((copied) => copied.tag)).toEqual(['v1.0'])
    expect(result.referrers_copied).toBe(1)
    expect(await world.host.list('mem://c', { all: true })).toEqual([
      { name: 'app', tags: [tag, 'v1.0'] },
    ])
  })

  it.each([
    ['mem://b/app:v9*', 'mem://c/app', 'NOT_FOUND'],
    ['mem://b/app:[', 'mem://c/app', 'USAGE'],
    ['mem://b/app', 'mem://c/app:v1', 'USAGE'],
    ['mem://b/app@sha256:00', 'mem://c/app', 'USAGE'],
    ['fix:app', 'mem://c/app', 'UNSUPPORTED'],
    ['mem://b', 'mem://c/app', 'INVALID_REFERENCE'],
  ])('refuses %s to %s with %s', async (from, to, code) => {
    await expect(world.host.copyTags(from, to)).rejects.toMatchObject({ code })
  })
})

describe('a pattern of tags', () => {
  it.each([
    ['ghcr.io/org/app:v1.*', true],
    ['localhost:5000/app:*', true],
    ['s3://bucket/app:[ab]', true],
    ['s3://bucket/app:v1', false],
    ['[::1]:5000/app', false],
    ['oci:./dir', false],
  ])('of %s: %s', (text, expected) => {
    expect(hasTagPattern(text)).toBe(expected)
  })

  it.each([
    ['localhost:5000/app:v1.*', 'localhost:5000/app', 'v1.*'],
    ['docker://host:5000/app', '//host:5000/app', undefined],
    ['oci:dir:v*', 'dir', 'v*'],
  ])('is taken off %s', (text, image, tag) => {
    const { end, tag: taken } = parseTaggedEnd(text, { bareTransport: 'docker' })
    expect(end).toMatchObject({ kind: 'transport', text: image })
    expect(taken).toBe(tag)
  })

  it('is taken off the reference of a store, which is parsed', () => {
    expect(parseTaggedEnd('mem://b/app:v*', { bareTransport: 'docker' })).toEqual({
      end: {
        kind: 'store',
        reference: parseReference('mem://b/app:latest'),
      },
      tag: 'v*',
    })
  })
})
