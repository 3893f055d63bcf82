/**
 * Small stores as the versions of the Go program write them, made from what docs/go-compatibility.md
 * and a real store of it say. `test/fixtures/stores` holds them as files:
 *
 *   node --conditions=s3lo-source integration/go-stores.ts      writes them anew
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  putChunkedImage,
  TAR_END,
  tarFile,
} from '@s3lo/core/testing'

export const STORES = join(import.meta.dirname, '../test/fixtures/stores')

/** The objects of a store by key. */
export type StoreFiles = ReadonlyMap<string, Uint8Array>

const LAYOUT_FILE = '{"imageLayoutVersion":"1.0.0"}'
const base = tarLayer('etc/os-release', 'NAME="Fixture"\n')
const first = imageFixture({ layers: [base, tarLayer('app/version', '1\n')], label: 'first' })
const second = imageFixture({ layers: [base, tarLayer('app/version', '2\n')], label: 'second' })
const arm = imageFixture({
  layers: [tarLayer('etc/os-release', 'NAME="Fixture on ARM"\n')],
  platform: 'linux/arm64/v8',
})
const manyPlatforms = indexFixture(
  { 'linux/amd64': first, 'linux/arm64/v8': arm },
  { attestations: true },
)

/** What `init` of the Go program writes. */
const SETTINGS = `# s3lo local storage configuration
# See: https://oufinx.github.io/s3lo/commands/config/
default:
  lifecycle:
    keep_last: 10
    max_age: 90d
`

/** Layout 1.0.0: everything of a tag in the tag's own folder, blobs too. */
export function layout100(): StoreFiles {
  const files = new Map<string, Uint8Array>()
  for (const [folder, image] of [
    ['app/v1.0', first],
    ['app/v1.1', second],
    ['worker/latest', arm],
  ] as const) {
    for (const [digest, bytes] of image.content) files.set(`${folder}/${blobName(digest)}`, bytes)
    putPushed(files, folder, image)
  }
  return files
}

/** Layout 1.1.0, written by version 1: pushes, and a copy of an image of several platforms. */
export function layout110(): StoreFiles {
  const files = new Map<string, Uint8Array>([['s3lo.yaml', Buffer.from(SETTINGS)]])
  for (const { content } of [first, second, manyPlatforms]) {
    for (const [digest, bytes] of content) files.set(blobName(digest), bytes)
  }
  for (const [tag, image, day] of [
    ['v1.0', first, '10'],
    ['v1.1', second, '11'],
  ] as const) {
    putPushed(files, `manifests/app/${tag}`, image)
    putHistory(files, `manifests/app/${tag}`, image, `2026-04-${day}T14:09:41Z`, sizeOf(image))
  }
  const copied = 'manifests/team/web/latest'
  files.set(`${copied}/manifest.json`, manyPlatforms.root.content)
  files.set(`${copied}/oci-layout`, Buffer.from(LAYOUT_FILE))
  // A copy of an index counts nothing.
  putHistory(files, copied, manyPlatforms, '2026-04-13T13:22:09Z', 0)
  return files
}

/** Layout 1.1.0, written by version 3: a layer in chunks, its frames as this version of zstd makes them. */
export async function layoutOfChunks(): Promise<StoreFiles> {
  const backend = new MemoryBackend()
  const layers = [Buffer.concat([tarFile('app/data', 'repeated '.repeat(2 ** 17)), TAR_END])]
  const reference = { name: 'app', tag: 'v3.0' }
  await putChunkedImage(backend, reference, { layers, chunkSize: 2 ** 19 })
  const files = new Map<string, Uint8Array>([['s3lo.yaml', Buffer.from('chunk_format: 1\n')]])
  for await (const { key } of backend.list('')) {
    const parts: Buffer[] = []
    for await (const part of (await backend.get(key)).body) parts.push(part as Buffer)
    files.set(key, Buffer.concat(parts))
  }
  return files
}

/** The files that a push of version 1 leaves beside each other. */
function putPushed(files: Map<string, Uint8Array>, folder: string, { root }: ImageFixture): void {
  const manifest = JSON.parse(Buffer.from(root.content).toString()) as {
    config: { digest: string }
  }
  const { mediaType, digest, size } = root.descriptor
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ mediaType, digest, size }],
  }
  const config = [first, second, arm].flatMap(
    ({ content }) => content.get(manifest.config.digest) ?? [],
  )
  files.set(`${folder}/manifest.json`, root.content)
  files.set(`${folder}/config.json`, config[0] ?? Buffer.alloc(0))
  files.set(`${folder}/index.json`, Buffer.from(JSON.stringify(index)))
  files.set(`${folder}/oci-layout`, Buffer.from(LAYOUT_FILE))
}

function putHistory(
  files: Map<string, Uint8Array>,
  folder: string,
  { root }: ImageFixture,
  pushedAt: string,
  size: number,
): void {
  const entry = { pushed_at: pushedAt, digest: root.descriptor.digest, size_bytes: size }
  files.set(`${folder}/history.json`, Buffer.from(JSON.stringify([entry])))
}

function tarLayer(name: string, content: string): Buffer {
  return Buffer.concat([tarFile(name, content), TAR_END])
}

function blobName(digest: string): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`
}

function sizeOf({ content }: ImageFixture): number {
  return [...content.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
}

async function write(name: string, files: StoreFiles): Promise<void> {
  await rm(join(STORES, name), { recursive: true, force: true })
  for (const [key, bytes] of files) {
    const path = join(STORES, name, key)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
  }
}

if (process.argv[1] === import.meta.filename) {
  await write('v1.0.0', layout100())
  await write('v1.1.0', layout110())
  await write('v1.1.0-chunks', await layoutOfChunks())
}
