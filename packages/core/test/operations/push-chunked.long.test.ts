import { buffer } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { S3loError } from '../../src/errors.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import { push } from '../../src/operations/push.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  MemoryBackend,
  noise,
} from '../../src/testing/index.ts'

const MIB = 1024 * 1024
const TO = { scheme: 'memory', bucket: 'memory', name: 'app', image: 'app', tag: 'v1' } as const

const LAYERS = [noise('1', 1.2 * MIB), noise('2', 1.1 * MIB), Buffer.from('small')]
const BEFORE = imageFixture({ layers: [noise('1', 1.2 * MIB), Buffer.from('before')] })
const NOW = imageFixture({ layers: LAYERS })

async function bucketWith(hasBefore: boolean): Promise<MemoryBackend> {
  const bucket = new MemoryBackend()
  await bucket.put(BUCKET_CONFIG_KEY, Buffer.from('chunked: true\n'))
  if (hasBefore) await pushInto(bucket, BEFORE)
  return bucket
}

const pushInto = (
  bucket: MemoryBackend | FaultyBackend,
  image = NOW,
): Promise<{ digest: string }> =>
  push(
    { source: new FixtureSource({ 'app:v1': image }), reference: { name: 'app', tag: 'v1' } },
    new ImageStore(bucket),
    TO,
  )

/** The uncompressed digests of the tag's layers, read to their ends; `undefined` where there is no tag. */
async function contentOf(bucket: MemoryBackend): Promise<readonly string[] | undefined> {
  const store = new ImageStore(bucket)
  const document = await store.find(TO)
  if (document?.manifest.kind !== 'manifest') return undefined
  const digests: string[] = []
  for (const layer of document.manifest.layers) {
    const plain = await store.plainLayer(layer)
    const content = await buffer(plain ? await plain.open() : await store.fetch(layer))
    if (plain) digests.push(digestOf(content))
  }
  return digests
}

const chunked = (image: typeof NOW): readonly string[] =>
  image.root.manifest.kind === 'manifest'
    ? image.root.manifest.layers.flatMap(({ digest, size }) => (size >= MIB ? digest : []))
    : []

it.each([
  ['before a request', false, 'before'],
  ['after a request', false, 'after'],
  ['before a request, over another image', true, 'before'],
  ['after a request, over another image', true, 'after'],
] as const)(
  'a push that dies %s leaves the tag whole, and the next one is whole',
  async (_, hasBefore, when) => {
    const old = hasBefore ? chunked(BEFORE) : undefined
    for (let at = 1; ; at++) {
      const bucket = await bucketWith(hasBefore)
      const dying = new FaultyBackend(bucket, {
        [when]: ({ count }: { readonly count: number }) => {
          if (count >= at) throw new S3loError('UNAVAILABLE', 'the process has died')
        },
      })
      const outcome = await pushInto(dying).then(
        () => 'done',
        (error: unknown) => error,
      )
      const found = await contentOf(bucket)
      expect([old, chunked(NOW)]).toContainEqual(found)
      await pushInto(bucket)
      expect(await contentOf(bucket)).toEqual(chunked(NOW))
      if (outcome === 'done') {
        expect(found).toEqual(chunked(NOW))
        break
      }
    }
  },
)
