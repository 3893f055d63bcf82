/**
 * Layers in chunks in `pnpm bench`: what is sent and stored of images that differ a little, how long
 * pushes and pulls take beside those of whole layers, and what a store of many chunks needs.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import local from '@s3lo/backend-local/plugin'
import {
  createHost,
  definePlugin,
  type Descriptor,
  digestOf,
  formatStore,
  type Host,
  type ImageSource,
  type ManifestDocument,
  MEDIA_TYPE,
  toDocument,
} from '@s3lo/core'
import { writeChunkedStore } from './big-chunked-store.ts'
import type { StoreSample } from './bench-store.ts'
import { countFiles, generateLayer, type LayerPlan } from './generated-layer.ts'

const MIB = 1024 * 1024
const LAYER_BYTES = 1024 * MIB
const SEEDS = 20
/** Of the chunks that are sent after an edit (MB). */
const MEDIAN_MB = 4.2
const WORST_MB = 17

const BUILDS = 30
const BUILD_BYTES = 256 * MIB
/** How many files a build changes. */
const CHANGED_FILES = 10
/** Of what the layers of all builds are (percent). */
const STORED_PERCENT = 40

const MANY_CHUNKS = { layers: 1000, chunksPerLayer: 1000 }
const RSS_BAR_MB = 250

export interface ChunkBench {
  readonly work: string
  readonly s3lo: (args: readonly string[]) => StoreSample
  readonly note: (figure: {
    readonly name: string
    readonly value: number
    readonly bar: number
  }) => void
}

/** Runs the cases that are figures of bytes and memory. */
export async function benchChunks(bench: ChunkBench): Promise<void> {
  await edits(bench)
  await builds(bench)
  manyChunks(bench)
}

/** One file of a large layer is edited, in another place for each seed. */
async function edits({ work, note }: ChunkBench): Promise<void> {
  await inStore(work, async (store) => {
    const count = countFiles(LAYER_BYTES)
    await store.push({ bytes: LAYER_BYTES }, 'base')
    const sent: number[] = []
    for (let seed = 1; seed <= SEEDS; seed++) {
      const edited = Math.imul(seed, 40_503) % count
      const edit = new Map([[edited, `edit ${seed}\n`]])
      sent.push(await store.push({ bytes: LAYER_BYTES, edits: edit }, `seed-${seed}`))
    }
    const ordered = sent.map((bytes) => bytes / 1e6).toSorted((a, b) => a - b)
    const [median = Number.NaN] = ordered.slice(Math.floor(ordered.length / 2))
    const name = 'MB sent after an edit of a layer of 1 GiB'
    note({ name: `${name}, median`, value: median, bar: MEDIAN_MB })
    note({ name: `${name}, worst`, value: ordered.at(-1) ?? Number.NaN, bar: WORST_MB })
    const table = (await store.tableBytes()) / 1e6
    note({ name: `${name}, its table of contents apart`, value: table, bar: Infinity })
  })
}

/** One build after the other, each with some files changed that the ones before did not change. */
async function builds({ work, note }: ChunkBench): Promise<void> {
  await inStore(work, async (store) => {
    const count = countFiles(BUILD_BYTES)
    const changed = new Map<number, string>()
    let stored = 0
    for (let build = 0; build < BUILDS; build++) {
      const first = build * CHANGED_FILES
      const end = build === 0 ? first : first + CHANGED_FILES
      for (let file = first; file < end; file++) {
        changed.set(Math.imul(file, 40_503) % count, `build ${build}\n`)
      }
      stored += await store.push({ bytes: BUILD_BYTES, edits: changed }, `build-${build}`)
    }
    const value = (100 * stored) / (BUILDS * BUILD_BYTES)
    note({ name: `% of ${BUILDS} whole layers that are stored`, value, bar: STORED_PERCENT })
  })
}

function manyChunks({ work, s3lo, note }: ChunkBench): void {
  const root = join(work, 'many-chunks')
  const { chunks } = writeChunkedStore(root, MANY_CHUNKS)
  const store = `local://${root}//`
  for (const args of [
    ['stats', store],
    ['doctor', store],
    ['clean', store],
  ]) {
    const { seconds, rssMb = Number.NaN } = s3lo(args)
    const name = `${args[0]} of ${chunks} chunks`
    note({ name: `${name}, RSS (MB)`, value: rssMb, bar: RSS_BAR_MB })
    note({ name: `${name}, seconds`, value: seconds, bar: Infinity })
  }
  rmSync(root, { recursive: true })
}

interface ChunkedStore {
  /** Pushes an image of one generated layer and gives the bytes of chunks that were sent. */
  push(plan: LayerPlan, tag: string): Promise<number>
  /** What the table of contents of a layer takes (bytes, mean). */
  tableBytes(): Promise<number>
}

async function inStore(work: string, use: (store: ChunkedStore) => Promise<void>): Promise<void> {
  const folder = join(work, 'chunked')
  mkdirSync(folder)
  try {
    let image: ImageSource | undefined
    const host = hostOf(() => image)
    const store = formatStore({ scheme: 'local', bucket: folder })
    await host.init(store)
    await host.setConfig(store, ['chunked=true'])
    await use({
      async push(plan, tag) {
        image = new GeneratedImage(plan)
        const { bytes_uploaded } = await host.push('generated:app', `${store}app:${tag}`)
        return bytes_uploaded
      },
      async tableBytes() {
        const { chunked } = await host.stats(store)
        return (chunked?.table_bytes ?? 0) / (chunked?.tables ?? 1)
      },
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A host whose references `generated:…` are of one image. */
function hostOf(image: () => ImageSource | undefined): Host {
  const openSource = () => {
    const source = image()
    if (source === undefined) throw new Error('no image was generated')
    return Promise.resolve({ source, reference: { name: '' } })
  }
  const generated = { summary: 'an image', load: () => Promise.resolve({ openSource }) }
  const sources = { generated }
  return createHost({
    plugins: [local, definePlugin({ name: 'generated', apiVersion: 1, sources })],
  })
}

/** An image of one generated layer, which is made as it is read. */
class GeneratedImage implements ImageSource {
  readonly kind = 'random-access'
  readonly name = 'a generated image'
  readonly #root: ManifestDocument
  readonly #config: Buffer
  readonly #plan: LayerPlan

  constructor(plan: LayerPlan) {
    this.#plan = plan
    const hash = createHash('sha256')
    let size = 0
    for (const piece of generateLayer(plan)) {
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
    if (mediaType === MEDIA_TYPE.ociLayer) return Readable.from(generateLayer(this.#plan))
    const content = mediaType === MEDIA_TYPE.ociConfig ? this.#config : this.#root.content
    return Readable.from([content], { objectMode: false })
  }
}
