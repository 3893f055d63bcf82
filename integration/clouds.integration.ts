import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { imageFixture, indexFixture } from '@s3lo/core/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type CloudStore, cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import { writeOciLayout } from './oci-layout.ts'
import { readWhole } from './read-whole.ts'
import { SourceCli } from './source-cli.ts'

const MIB = 1024 * 1024
/** Longer than a part of every backend, and no whole number of parts. */
const LARGE = Buffer.alloc(20 * MIB + 7, 'a layer in several parts ')

const work = await mkdtemp(join(tmpdir(), 's3lo-clouds-'))
const stores = cloudStores(work)
const image = imageFixture({ layers: [LARGE, 'two', 'three'] })
const index = indexFixture(
  {
    'linux/amd64': imageFixture({ layers: [LARGE.subarray(1), 'amd64'] }),
    'linux/arm64': imageFixture({ layers: ['arm64'], platform: 'linux/arm64' }),
  },
  { attestations: true },
)
const layout = join(work, 'image')
const indexLayout = join(work, 'index')
const made: { readonly store: CloudStore; readonly bucket: string }[] = []
let cli: SourceCli

beforeAll(async () => {
  cli = await SourceCli.open(work)
  await writeOciLayout(layout, 'v1', image)
  await writeOciLayout(indexLayout, 'v1', index)
})
afterEach(async () => {
  for (const { store, bucket } of made.splice(0)) await removeBucket(store, bucket)
})
afterAll(() => rm(work, { recursive: true }))

async function bucketOf(store: CloudStore): Promise<string> {
  const bucket = await store.makeBucket()
  made.push({ store, bucket })
  return bucket
}

describe.each(stores.map((store) => [store.name, store] as const))('a store: %s', (_, store) => {
  it('takes an image, shows it, gives it back, remembers and forgets it', async () => {
    const bucket = await bucketOf(store)
    const env = store.env()
    const { digest } = image.root.descriptor
    const refs = ['app:v1', 'team/app:v2'].map((name) => referenceIn(store, bucket, name))
    const [ref = '', nested = ''] = refs
    await cli.json(['config', 'set', referenceIn(store, bucket), 'chunked=false'], env)

    const pushed = await cli.json(['push', `oci:${layout}:v1`, ref], env)
    expect(pushed).toMatchObject({ digest, blobs_uploaded: 4, blobs_skipped: 0 })
    const again = await cli.json(['push', `oci:${layout}:v1`, nested], env)
    expect(again).toMatchObject({ digest, blobs_uploaded: 0, blobs_skipped: 4 })

    const listed = await cli.run(['list', referenceIn(store, bucket)], env)
    expect(listed).toEqual({ status: 0, stdout: 'app:v1\nteam/app:v2\n', stderr: '' })
    const inspected = await cli.json(['inspect', ref], env)
    expect(inspected).toMatchObject({ digest, is_index: false })
    const history = await cli.json(['history', referenceIn(store, bucket, 'app')], env)
    expect(history).toMatchObject([{ tag: 'v1', digest }])

    const pulled = join(work, `pulled-${bucket.replace(/.*\//, '')}`)
    await cli.json(['pull', ref, `oci:${pulled}:v1`, '--platform', 'linux/amd64'], env)
    expect(await digestsIn(pulled)).toEqual([...image.content.keys(), digest].toSorted())

    expect(await cli.json(['delete', ref], env)).toMatchObject({ ref })
    const missing = await cli.run(['inspect', ref], env)
    expect(missing).toMatchObject({ status: 66 })
    const [, hinted = ''] = /^hint: s3lo list (\S+) shows/m.exec(missing.stderr) ?? []
    expect(await cli.run(['list', hinted], env)).toMatchObject({ stdout: 'team/app:v2\n' })
    expect(await cli.json(['inspect', nested], env)).toMatchObject({ digest })
    await cli.json(['delete', nested], env)
    const emptied = await cli.run(['list', referenceIn(store, bucket)], env)
    expect(emptied).toMatchObject({ status: 0, stdout: 'No images found.\n' })
  })
})

describe.each(stores.map((store) => [store.name, store] as const))(
  'a new store: %s',
  (_, store) => {
    it('is stamped by the first push, which compresses the layers', async () => {
      const bucket = await bucketOf(store)
      const env = store.env()
      const [ref, other] = ['app:v1', 'other:v1'].map((name) => referenceIn(store, bucket, name))
      const push = (to = ''): Promise<unknown> => cli.json(['push', `oci:${layout}:v1`, to], env)
      const pushed = await push(ref)
      expect(pushed).toMatchObject({ digest: expect.stringMatching(/^sha256:/), blobs_uploaded: 4 })
      expect(pushed).not.toMatchObject({ digest: image.root.descriptor.digest })
      const settings = await cli.json(['config', 'get', referenceIn(store, bucket)], env)
      expect(settings).toMatchObject({ chunk_format: 2 })
      const { digest } = pushed as { readonly digest: string }
      expect(await push(other)).toMatchObject({ digest, blobs_uploaded: 0, blobs_skipped: 4 })
    })
  },
)

describe('a copy', () => {
  const pairs = stores
    .flatMap((source) => stores.map((target) => [source, target] as const))
    // One process has one access key, and these two services have no key in common.
    .filter(([source, target]) => source === target || source.scheme !== target.scheme)
    .map(([source, target]) => [source.name, target.name, source, target] as const)

  it.each(pairs)('from %s to %s keeps every digest', async (_source, _target, source, target) => {
    const env = { ...source.env(), ...target.env() }
    const [from, to] = [await bucketOf(source), await bucketOf(target)]
    const { digest } = index.root.descriptor
    const ref = referenceIn(source, from, 'app:v1')
    await cli.json(['push', `oci:${indexLayout}:v1`, ref, '--all-platforms'], env)
    const copied = await cli.json(['copy', ref, referenceIn(target, to, 'copy:v1')], env)
    expect(copied).toMatchObject({ digest })
    const backend = await target.open(to)
    expect(await readWhole(backend, { name: 'copy', tag: 'v1' }, [index])).toBe(digest)
    await backend.close?.()
  })
})

/** The digests of the blobs of a layout; each is computed from the bytes. */
async function digestsIn(layoutFolder: string): Promise<readonly string[]> {
  const blobs = join(layoutFolder, 'blobs/sha256')
  const names = await readdir(blobs)
  const digests = names.map(async (name) => {
    const hash = createHash('sha256').update(await readFile(join(blobs, name)))
    return `sha256:${hash.digest('hex')}`
  })
  return (await Promise.all(digests)).toSorted()
}
