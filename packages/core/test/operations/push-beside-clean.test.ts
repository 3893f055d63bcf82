import { beforeEach, describe, expect, it } from 'vitest'
import { CHUNK_FRAMES_PREFIX } from '../../src/layout/chunk-keys.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import type { CleanResult } from '../../src/operations/clean-result.ts'
import { imageFixture, type MemoryBackend, noise } from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const NOISE = noise('large', 9 * 1024 * 1024)
const RECIPES = '.s3lo/recipes/'

let world: MemoryWorld
let bucket: MemoryBackend
let chunks: readonly string[]

const keysBelow = async (prefix: string): Promise<readonly string[]> =>
  (await Array.fromAsync(bucket.list(prefix))).map(({ key }) => key)

/** Deletes every garbage of any age. */
const clean = (): Promise<CleanResult> =>
  world.host.clean('mem://b/', { confirm: true, graceMs: 0, expectFewer: true })

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  world.images['app:v1'] = imageFixture({ layers: [NOISE, 'small'] })
  for (const name of ['b', 'c']) {
    await world.bucket(name).put(BUCKET_CONFIG_KEY, Buffer.from('chunked: true\n'))
    await world.host.push('fix:app:v1', `mem://${name}/app:v1`)
  }
  chunks = await keysBelow(CHUNK_FRAMES_PREFIX)
  expect(chunks.length).toBeGreaterThan(1)
  // What is left is garbage, as a deleted image leaves it: chunks and blobs that nothing names.
  const named = await Promise.all(
    [RECIPES, 'manifests/', '.s3lo/repositories/'].map((prefix) => keysBelow(prefix)),
  )
  await bucket.delete(named.flat())
})

/** Runs a clean right before each write that makes content visible: of a recipe and of the tag. */
function cleanBeforeWrites(): readonly CleanResult[] {
  const results: CleanResult[] = []
  const put = bucket.put.bind(bucket)
  let isCleaning = false
  bucket.put = async (key, ...rest) => {
    if (!isCleaning && (key.startsWith(RECIPES) || key.startsWith('manifests/'))) {
      isCleaning = true
      results.push(await clean())
      isCleaning = false
    }
    return put(key, ...rest)
  }
  return results
}

describe('old chunks that nothing names', () => {
  it('are deleted by a clean', async () => {
    expect(await clean()).toMatchObject({ skipped_pinned: 0 })
    expect(await keysBelow(CHUNK_FRAMES_PREFIX)).toEqual([])
  })

  it.each([
    ['a push', () => world.host.push('fix:app:v1', 'mem://b/app:v2')],
    ['a copy', () => world.host.copy('mem://c/app:v1', 'mem://b/app:v2')],
  ])('and that %s uses again stay, though a clean runs before its tag', async (_, publish) => {
    const cleans = cleanBeforeWrites()
    await publish()
    expect(cleans.length).toBeGreaterThanOrEqual(2)
    expect(cleans[0]?.skipped_pinned).toBeGreaterThanOrEqual(chunks.length)
    expect(await keysBelow(CHUNK_FRAMES_PREFIX)).toEqual(chunks)
    expect(await world.host.doctor('mem://b/', { deep: true, probe: false })).toMatchObject({
      ok: true,
    })
  })
})

it('an image whose chunks are all gone is broken', async () => {
  await world.host.push('fix:app:v1', 'mem://b/app:v2')
  await bucket.delete(await keysBelow(CHUNK_FRAMES_PREFIX))
  const report = await world.host.doctor('mem://b/', { probe: false })
  expect(report).toMatchObject({
    broken: true,
    manifest_issues: [{ image: 'app:v2', blobs: [{ role: 'layer', problem: 'missing' }] }],
  })
})
