import type { BucketConfig } from '../config/bucket-config.ts'
import { documentationOf } from '../documentation.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { Finding, StorageBackend } from '../contract/storage-backend.ts'
import { type ChunkFormat, GO_CHUNKS, OWN_CHUNKS } from '../gc/chunk-format.ts'
import { LiveChunks } from '../gc/live-chunks.ts'
import { formatStore } from '../layout/format-store.ts'

/** What a store holds in chunks of one format. */
export interface ChunkHoldings {
  readonly format: 1 | 2
  readonly chunks: number
  /** Chunks that no layer of an image needs. */
  readonly garbage: { readonly count: number; readonly bytes: number }
  /** Recipes that cannot be read: what they name may be among the garbage. */
  readonly unreadable: number
}

const FORMATS: readonly (readonly [ChunkHoldings['format'], ChunkFormat])[] = [
  [1, GO_CHUNKS],
  [2, OWN_CHUNKS],
]

/** What is known of the chunks of a store. */
interface ChunkReport {
  readonly chunks: readonly ChunkHoldings[]
  /** Manifests that cannot be read. */
  readonly unreadable: number
}

/** Counts the chunks of each format; `isNeeded` tells the layers, by digest, that an image needs. */
export async function surveyChunks(
  backend: StorageBackend,
  isNeeded: (layer: string) => boolean,
  options: CallOptions,
): Promise<readonly ChunkHoldings[]> {
  const holdings: ChunkHoldings[] = []
  for (const [format, chunkFormat] of FORMATS) {
    const live = new LiveChunks(backend, chunkFormat)
    await live.mark((name) => (isNeeded(digestOfName(name)) ? 'tagged' : 'garbage'), options)
    const garbage = { count: 0, bytes: 0 }
    let chunks = 0
    for await (const { mark, info } of live.list(options)) {
      chunks++
      if (live.isLive(mark)) continue
      garbage.count++
      garbage.bytes += info.size
    }
    holdings.push({ format, chunks, garbage, unreadable: live.unreadable.length })
  }
  return holdings
}

/** Of all formats. */
export function sumGarbage(holdings: readonly ChunkHoldings[]): {
  readonly count: number
  readonly bytes: number
} {
  const sum = { count: 0, bytes: 0 }
  for (const { garbage } of holdings) {
    sum.count += garbage.count
    sum.bytes += garbage.bytes
  }
  return sum
}

/** Garbage among the chunks, and a stamp in `s3lo.yaml` that says something else than the bucket. */
export function judgeChunks(
  backend: StorageBackend,
  { chunks: holdings, unreadable }: ChunkReport,
  config: BucketConfig | undefined,
): readonly Finding[] {
  const findings = holdings.flatMap((held) => judgeGarbage(backend, held, unreadable))
  return config ? [...findings, ...judgeStamp(holdings, config)] : findings
}

function judgeGarbage(
  backend: StorageBackend,
  { format, garbage, unreadable: recipes }: ChunkHoldings,
  manifests: number,
): readonly Finding[] {
  if (garbage.count === 0) return []
  const whose = format === 1 ? ' of the Go program' : ''
  const isUnsure = recipes + manifests > 0
  const doubt = isUnsure ? ' (what unreadable recipes and manifests name among them)' : ''
  const clean = `s3lo clean ${formatStore(backend)} --blobs`
  return [
    {
      severity: 'notice',
      message: `${garbage.count} chunks${whose} of ${garbage.bytes} bytes belong to no layer of an image${doubt}`,
      hint:
        format === 1
          ? `${clean} --go-writers-stopped shows them, once no push and no copy of that program is running`
          : `${clean} shows them, with --confirm removes those that no push still needs`,
    },
  ]
}

function judgeStamp(
  holdings: readonly ChunkHoldings[],
  { chunkFormat: stamp }: BucketConfig,
): readonly Finding[] {
  const held = holdings.filter(({ chunks }) => chunks > 0)
  const other = held.find(({ format }) => format !== stamp)
  if (!other) return []
  if (stamp === undefined) return [missingStamp(held)]
  const message = `s3lo.yaml says chunk_format: ${stamp}, and the bucket has ${other.chunks} chunks of format ${other.format}`
  return [{ severity: 'notice', message, hint: hintOfStamp(stamp) }]
}

function missingStamp(held: readonly ChunkHoldings[]): Finding {
  const formats = held.map(({ format, chunks }) => `${chunks} chunks of format ${format}`)
  const isOwn = held.some(({ format }) => format === 2)
  return {
    severity: 'notice',
    message: `s3lo.yaml has no chunk_format, and the bucket has ${formats.join(' and ')}`,
    hint: isOwn
      ? 'write chunk_format: 2 into s3lo.yaml, so that the Go program does not push there: it cannot read such layers'
      : 'write chunk_format: 1 into s3lo.yaml, so that s3lo writes no chunks that the Go program cannot read',
  }
}

function hintOfStamp(stamp: number): string {
  const what = documentationOf('chunks.md')
  if (stamp === 1) {
    return `where the Go program still pushes, it cannot read those layers: push their images again, which stores whole layers; else write chunk_format: 2 into s3lo.yaml (${what})`
  }
  if (stamp === 2) {
    return `both are read, and the Go program does not push there any more: push their images again to have one format (${what})`
  }
  return `correct s3lo.yaml: 1 for the Go program's format, 2 for that of s3lo (${what})`
}

/** The names of collectors are hex digits alone. */
function digestOfName(name: string): string {
  return `${name.length === 128 ? 'sha512' : 'sha256'}:${name}`
}
