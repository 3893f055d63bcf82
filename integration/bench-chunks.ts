/**
 * Measures what a push sends after one file of a large layer was edited, over several seeds, against
 * bars: `node --conditions=s3lo-source integration/bench-chunks.ts [MIB] [SEEDS]`, by default
 * a layer of 1024 MiB and 20 seeds.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import local from '@s3lo/backend-local/plugin'
import {
  createHost,
  definePlugin,
  type Descriptor,
  digestOf,
  type ImageSource,
  type ManifestDocument,
  MEDIA_TYPE,
  toDocument,
} from '@s3lo/core'
import { TAR_END, tarFile } from '@s3lo/core/testing'

const MIB = 1024 * 1024
const [mib = 1024, seeds = 20] = process.argv.slice(2).map(Number)
/** Of the bytes that are sent after an edit. */
const MEDIAN_BYTES = 4.2e6
const WORST_BYTES = 17e6

/** Files of 4 KiB to 1 MiB, of which a third compresses well: the same for one number. */
function fileOf(number: number, edit: string): Buffer {
  const size = 4096 * (1 + (Math.imul(number, 2_654_435_761) >>> 24))
  const key = createHash('sha256').update(`file ${number}`).digest()
  const noise = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size))
  if (number % 3 === 0) noise.fill(`text of file ${number}\n`)
  return tarFile(`usr/lib/file-${number}`, Buffer.concat([Buffer.from(edit), noise]))
}

/** A tar of files with the same times, one of which is edited. */
function* layerOf(edited: number, edit: string): Generator<Buffer> {
  for (let number = 0, bytes = 0; bytes < mib * MIB; number++) {
    const file = fileOf(number, number === edited ? edit : '')
    bytes += file.length
    yield file
  }
  yield TAR_END
}

/** An image of that one layer, made as it is read. */
class GeneratedImage implements ImageSource {
  readonly kind = 'random-access'
  readonly name = 'a generated image'
  readonly #root: ManifestDocument
  readonly #config: Buffer
  readonly #layer: () => Generator<Buffer>

  constructor(layer: () => Generator<Buffer>) {
    this.#layer = layer
    const hash = createHash('sha256')
    let size = 0
    for (const piece of layer()) {
      hash.update(piece)
      size += piece.length
    }
    const digest = `sha256:${hash.digest('hex')}`
    const rootfs = { type: 'layers', diff_ids: [digest] }
    this.#config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs }))
    const manifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: {
        mediaType: MEDIA_TYPE.ociConfig,
        digest: digestOf(this.#config),
        size: this.#config.length,
      },
      layers: [{ mediaType: MEDIA_TYPE.ociLayer, digest, size }],
    }
    this.#root = toDocument(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest)
  }

  async resolve(): Promise<Descriptor> {
    return this.#root.descriptor
  }

  async fetch({ mediaType }: Descriptor): Promise<Readable> {
    if (mediaType === MEDIA_TYPE.ociLayer) return Readable.from(this.#layer())
    const content = mediaType === MEDIA_TYPE.ociConfig ? this.#config : this.#root.content
    return Readable.from([content], { objectMode: false })
  }
}

let image: ImageSource
const host = createHost({
  plugins: [
    local,
    definePlugin({
      name: 'generated',
      apiVersion: 1,
      sources: {
        generated: {
          summary: 'a generated image',
          load: () =>
            Promise.resolve({
              openSource: () => Promise.resolve({ source: image, reference: { name: '' } }),
            }),
        },
      },
    }),
  ],
})

const folder = await mkdtemp(join(tmpdir(), 's3lo-bench-chunks-'))
try {
  const store = `local://${folder}/`
  await host.init(store)
  await host.setConfig(store, ['chunked=true'])
  let count = -1
  for (const _ of layerOf(-1, '')) count++
  image = new GeneratedImage(() => layerOf(-1, ''))
  const began = performance.now()
  const first = await host.push('generated:app', `${store}app:base`)
  const seconds = (performance.now() - began) / 1000
  console.log(
    `first push: ${first.chunks} chunks, ${first.bytes_uploaded} bytes, ${seconds.toFixed(1)} s`,
  )
  const sent: number[] = []
  for (let seed = 1; seed <= seeds; seed++) {
    const edited = Math.imul(seed, 40_503) % count
    image = new GeneratedImage(() => layerOf(edited, `edit ${seed}\n`))
    const result = await host.push('generated:app', `${store}app:seed-${seed}`)
    sent.push(result.bytes_uploaded)
    console.log(
      `seed ${seed}: ${result.chunks_uploaded} of ${result.chunks} chunks, ${result.bytes_uploaded} bytes`,
    )
  }
  const ordered = sent.toSorted((a, b) => a - b)
  const [median = 0, worst = 0] = [ordered[Math.floor(ordered.length / 2)], ordered.at(-1)]
  console.log(`median ${median} bytes (bar ${MEDIAN_BYTES}), worst ${worst} (bar ${WORST_BYTES})`)
  if (median > MEDIAN_BYTES || worst > WORST_BYTES) process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
