/** The images of the random work that deletes are judged in. */
import { imageFixture, indexFixture, noise, TAR_END, tarFile } from '@s3lo/core/testing'
import { pick } from './soak-images.ts'

const MIB = 1 << 20
const LAYERS = Array.from({ length: 6 }, (_, n) => `layer ${n}`)
/** Of one platform, which clients send blob by blob. */
export const PLAIN = Array.from({ length: 8 }, (_, n) =>
  imageFixture({ layers: [LAYERS[n % 6] ?? '', LAYERS[(n * 2 + 1) % 6] ?? ''], label: `${n}` }),
)
const INDEXES = [0, 2, 4].map((n) =>
  indexFixture({ 'linux/amd64': pick(PLAIN, n), 'linux/arm64': pick(PLAIN, n + 1) }),
)
/** Images and indexes, which share layers and platforms. */
export const IMAGES = [...PLAIN, ...INDEXES]
/** Images that are stored in chunks: what they share is the first chunk. */
export const CHUNKED = Array.from({ length: 3 }, (_, n) => {
  const files = [
    tarFile('shared', noise('shared', 5 * MIB)),
    tarFile('own', noise(`own ${n}`, 2 * MIB)),
  ]
  return imageFixture({ layers: [Buffer.concat([...files, TAR_END])], label: `chunked ${n}` })
})
