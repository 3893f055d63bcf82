import { createHash } from 'node:crypto'
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface BigStoreOptions {
  /** Tags, spread over the images; each is pushed an hour after the one before. */
  readonly tags: number
  readonly images: number
  /** Blobs that a tag has for itself, its config among them. */
  readonly blobsPerTag: number
  /** Blobs that all tags of all images share. */
  readonly shared?: number | undefined
  /** Blobs that no tag names, made a day ago. */
  readonly orphans?: number | undefined
  /** Images without a tag, each with a digest record, a config of its own and the shared blobs. */
  readonly untagged?: number | undefined
}

export interface BigStore {
  readonly root: string
  readonly tags: number
  readonly blobs: number
}

const OCI = 'application/vnd.oci.image'
const HOUR_MS = 3_600_000

/**
 * Writes a local store of many small objects, each with its true digest and with a history, the
 * same every time but for the date. Some hundred thousand files take half a minute.
 */
export function writeBigStore(
  root: string,
  { tags, images, blobsPerTag, shared = 3, orphans = 0, untagged = 0 }: BigStoreOptions,
  now: Date = new Date(),
): BigStore {
  mkdirSync(join(root, 'blobs/sha256'), { recursive: true })
  const base = count(shared, (i) => writeBlob(root, `shared ${i}`))
  for (let i = 0; i < tags; i++) {
    const image = imageOf(i, images)
    const pushedAt = new Date(now.getTime() - (tags - i) * HOUR_MS)
    writeTag(root, {
      image,
      tag: `v${Math.floor(i / images)}`,
      base,
      blobsPerTag,
      seed: i,
      pushedAt,
    })
  }
  const yesterday = new Date(now.getTime() - 24 * HOUR_MS)
  count(orphans, (i) => writeBlob(root, `orphan ${i}`, yesterday))
  count(untagged, (i) => {
    const image = imageOf(i, images)
    const { manifest, digest } = writeImage(root, base, [], `untagged ${i}`, yesterday)
    const folder = join(root, '.s3lo/repositories', image, '_manifests')
    write(join(folder, `${digest.replace(':', '-')}.json`), manifest, yesterday)
  })
  return { root, tags, blobs: shared + tags * blobsPerTag + orphans + untagged }
}

function imageOf(i: number, images: number): string {
  return `team-${i % 10}/app-${i % images}`
}

interface Content {
  readonly digest: string
  readonly size: number
}

interface BigTag {
  readonly image: string
  readonly tag: string
  readonly base: readonly Content[]
  readonly blobsPerTag: number
  readonly seed: number
  readonly pushedAt: Date
}

function writeTag(root: string, { image, tag, base, blobsPerTag, seed, pushedAt }: BigTag): void {
  const own = count(blobsPerTag - 1, (i) => writeBlob(root, `layer ${i} of ${seed}`, pushedAt))
  const { manifest, digest, size_bytes } = writeImage(root, base, own, seed, pushedAt)
  const entry = { pushed_at: `${pushedAt.toISOString().slice(0, 19)}Z`, digest, size_bytes }
  write(join(root, 'manifests', image, tag, 'manifest.json'), manifest, pushedAt)
  write(join(root, 'manifests', image, tag, 'history.json'), JSON.stringify([entry]), pushedAt)
}

interface WrittenImage {
  readonly manifest: string
  readonly digest: string
  readonly size_bytes: number
}

/** All of an image but what publishes it. */
function writeImage(
  root: string,
  base: readonly Content[],
  own: readonly Content[],
  seed: number | string,
  pushedAt: Date,
): WrittenImage {
  const platform = { architecture: 'amd64', os: 'linux', created: pushedAt.toISOString(), seed }
  const config = writeBlob(root, JSON.stringify(platform), pushedAt)
  const layers = [...base, ...own].map((layer) => ({
    mediaType: `${OCI}.layer.v1.tar+gzip`,
    ...layer,
  }))
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: { mediaType: `${OCI}.config.v1+json`, ...config },
    layers,
  })
  const size_bytes = layers.reduce((sum, { size }) => sum + size, config.size)
  return { manifest, digest: digestOf(manifest), size_bytes }
}

function writeBlob(root: string, content: string, time?: Date): Content {
  const digest = digestOf(content)
  write(join(root, 'blobs', digest.replace(':', '/')), content, time)
  return { digest, size: Buffer.byteLength(content) }
}

function write(path: string, content: string, time?: Date): void {
  if (!path.includes('/blobs/')) mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  if (time) utimesSync(path, time, time)
}

function digestOf(content: string): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}

function count<T>(length: number, make: (i: number) => T): readonly T[] {
  return Array.from({ length }, (_, i) => make(i))
}
