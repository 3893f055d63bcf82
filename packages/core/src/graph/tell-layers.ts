import type { ProgressOptions } from '../contract/progress.ts'
import type { GraphPlan, PlannedBlob } from './plan.ts'

/** Names that a line has room for. */
const MAX_NAMED = 3

const ENCRYPTED = /\+encrypted$/
/** What container engines read: nothing, gzip and zstd, in OCI's and in Docker's spelling. */
const LAYER = /\.layer\.(?:nondistributable\.)?v1\.tar|\.image\.rootfs\.(?:foreign\.)?diff\.tar/
const READABLE = /\.tar(?:[+.](?:gzip|zstd))?$/

/** Says which layers stay where they are, and which not everybody can read: each is worth a line. */
export function tellLayers(
  { foreign, blobs }: Pick<GraphPlan, 'foreign' | 'blobs'>,
  { onProgress }: ProgressOptions,
): void {
  const [first] = foreign
  const url = first?.descriptor.urls?.[0] ?? ''
  const layers = blobs.filter(({ descriptor }) => LAYER.test(descriptor.mediaType))
  const encrypted = layers.filter(({ descriptor }) => ENCRYPTED.test(descriptor.mediaType))
  const unreadable = layers.filter(
    ({ descriptor: { mediaType } }) => !READABLE.test(mediaType) && !ENCRYPTED.test(mediaType),
  )
  const notices = [
    ['foreign-layers', foreign, `that only their maker distributes stay where they are (${url})`],
    ['encrypted-layers', encrypted, 'are encrypted: only who has the key can run the image'],
    ['unreadable-layers', unreadable, 'are in a form that container engines may not read'],
  ] as const
  for (const [code, found, what] of notices) {
    if (found.length === 0) continue
    const message = `${found.length} layer(s) ${what}: ${namesOf(found)}`
    onProgress?.({ type: 'notice', code, message })
  }
}

function namesOf(blobs: readonly PlannedBlob[]): string {
  const names = blobs
    .slice(0, MAX_NAMED)
    .map(({ descriptor }) => `${descriptor.digest} (${descriptor.mediaType})`)
  return blobs.length > MAX_NAMED ? `${names.join(', ')} and others` : names.join(', ')
}
