import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MEDIA_TYPE } from '@s3lo/core'

/** Where a store keeps chunks and recipes (docs/chunks.md). */
const CHUNKS = '.s3lo/chunks/sha256'
const RECIPES = '.s3lo/recipes/sha256'
/** A chunk is as large as the cutter makes them, on paper. */
const CONTENT_BYTES = 4 * 1024 * 1024
const FRAME = Buffer.from('a frame')

/**
 * Writes a local store of many images of one layer each, whose chunks are named in full and are a few
 * bytes long: for commands that look at names and sizes. Half of the chunks of an image are those of
 * the one before.
 */
export function writeChunkedStore(
  root: string,
  { layers, chunksPerLayer }: { readonly layers: number; readonly chunksPerLayer: number },
): { readonly chunks: number } {
  for (const folder of [CHUNKS, RECIPES, 'blobs/sha256']) {
    mkdirSync(join(root, folder), { recursive: true })
  }
  writeFileSync(join(root, 's3lo.yaml'), 'chunked: true\nchunk_format: 2\n')
  let shared: readonly Chunk[] = []
  let chunks = 0
  for (let layer = 0; layer < layers; layer++) {
    const own = Array.from({ length: chunksPerLayer - shared.length }, () => writeChunk(root))
    chunks += own.length
    writeImage(root, `v${layer}`, [...shared, ...own])
    shared = own.slice(0, Math.floor(chunksPerLayer / 2))
  }
  return { chunks }
}

interface Chunk {
  readonly raw: string
  readonly size: number
  readonly frame: string
  readonly frameSize: number
}

function writeChunk(root: string): Chunk {
  const raw = randomBytes(32).toString('hex')
  const frame = randomBytes(32).toString('hex')
  writeFileSync(join(root, CHUNKS, `${raw}-${frame}`), FRAME)
  return { raw, size: CONTENT_BYTES, frame, frameSize: FRAME.length }
}

function writeImage(root: string, tag: string, chunks: readonly Chunk[]): void {
  const [layer, content] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
  const size = chunks.length * FRAME.length
  const recipe = { v: 1, layer, size, content, contentSize: chunks.length * CONTENT_BYTES, chunks }
  writeFileSync(join(root, RECIPES, layer), JSON.stringify(recipe))
  const rootfs = { type: 'layers', diff_ids: [`sha256:${content}`] }
  const config = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs })
  const configDigest = hexOf(config)
  writeFileSync(join(root, 'blobs/sha256', configDigest), config)
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: {
      mediaType: MEDIA_TYPE.ociConfig,
      digest: `sha256:${configDigest}`,
      size: config.length,
    },
    layers: [{ mediaType: `${MEDIA_TYPE.ociLayer}+zstd`, digest: `sha256:${layer}`, size }],
  })
  const records = join(root, '.s3lo/repositories/app/_manifests')
  mkdirSync(records, { recursive: true })
  writeFileSync(join(records, `sha256-${hexOf(manifest)}.json`), manifest)
  const folder = join(root, 'manifests/app', tag)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'manifest.json'), manifest)
}

function hexOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
