/** The images of the soak, and how one is read whole. */
import {
  decompress,
  Digester,
  ImageStore,
  type ImageManifest,
  type Reference,
  type StorageBackend,
} from '@s3lo/core'
import { type ImageFixture, imageFixture, indexFixture, noise } from '@s3lo/core/testing'
import { readContent } from './read-whole.ts'

const MIB = 1024 * 1024
const LAYERS = Array.from({ length: 10 }, (_, i) => Buffer.alloc(3000 + 700 * i, `layer ${i} `))
const IMAGES = 24
const CHUNKED = 5

/** Image `n`: three layers of the pool; every fourth is an index of two such. */
function soakImage(n: number): ImageFixture {
  if (n % 4 === 3) {
    return indexFixture({ 'linux/amd64': soakImage(n - 1), 'linux/arm64': soakImage(n - 2) })
  }
  const layers = [n, n * 3 + 1, n * 7 + 2].map((i) => pick(LAYERS, i))
  return imageFixture({ layers, label: `soak ${n}` })
}

/** Images as they are published. */
export const SOAK_IMAGES: readonly ImageFixture[] = Array.from({ length: IMAGES }, (_, n) =>
  soakImage(n),
)

/** Those of a single platform, which clients send blob by blob. */
export const SINGLE_IMAGES = SOAK_IMAGES.filter(({ root }) => root.manifest.kind === 'manifest')

/** Images whose first layer is stored in chunks: each is one edit away from the others. */
export const CHUNKED_IMAGES: readonly ImageFixture[] = Array.from({ length: CHUNKED }, (_, n) => {
  const large = noise('soak', 5 * MIB)
  large.write(`edit ${n}`, n * MIB)
  return imageFixture({ layers: [large, pick(LAYERS, n)], label: `chunked ${n}` })
})

/**
 * Reads all that a tag or a digest names, and verifies every byte of it, of compressed layers the content
 * too. Throws `NOT_FOUND` and `INTEGRITY`, and for an image that is none of the soak.
 */
export async function readSoaked(backend: StorageBackend, reference: Reference): Promise<void> {
  const store = new ImageStore(backend)
  const { manifest, descriptor } = await store.read(reference)
  const config = manifest.kind === 'manifest' ? manifest.config.digest : ''
  const image = CHUNKED_IMAGES.find(({ content }) => content.has(config))
  if (manifest.kind === 'manifest' && image) await readChunked(store, manifest, image)
  else await readContent(store, descriptor.digest, SOAK_IMAGES)
}

/** The config is the one that was pushed, and says what the layers decompress to. */
async function readChunked(
  store: ImageStore,
  { config, layers }: ImageManifest,
  image: ImageFixture,
): Promise<void> {
  for await (const _ of await store.fetch(config));
  const { root } = image
  const pushed = root.manifest.kind === 'manifest' ? root.manifest.layers : []
  if (layers.length !== pushed.length) throw new Error(`expected ${pushed.length} layers`)
  for (const [i, layer] of layers.entries()) {
    const digester = new Digester('sha256')
    const content = await store.fetch(layer)
    for await (const bytes of decompress(content, 'zstd', layer.digest)) digester.update(bytes)
    const digest = digester.digest()
    if (digest === pushed[i]?.digest) continue
    throw new Error(`layer ${layer.digest}: expected content ${pushed[i]?.digest}, got ${digest}`)
  }
}

/** Round and round. */
export function pick<T>(items: readonly T[], i: number): T {
  const item = items[i % items.length]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}
