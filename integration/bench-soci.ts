/**
 * Measures indexing a gzip layer and reading one small file of it, in a directory store:
 * `node --conditions=s3lo-source integration/bench-soci.ts LAYER.tar.gz PATH`.
 */
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import local from '@s3lo/backend-local/plugin'
import { createHost, Digester, MEDIA_TYPE, toDocument } from '@s3lo/core'
import soci from '@s3lo/soci/plugin'

const [file = '', path = ''] = process.argv.slice(2)
const folder = await mkdtemp(join(tmpdir(), 's3lo-bench-soci-'))
try {
  const ref = await publish()
  const size = (await stat(file)).size
  const gunzip = await seconds(async () => {
    const content = createReadStream(file).pipe(createGunzip({ chunkSize: 256 * 1024 }))
    for await (const _ of content) continue
  })
  report('gunzip', gunzip, size)
  const host = createHost({ plugins: [local, soci] })
  for (const [what, index] of [
    ['cat, streamed', false],
    ['cat --index', true],
    ['cat, indexed', false],
  ] as const) {
    let fetched = 0
    const took = await seconds(async () => {
      const take = async (content: AsyncIterable<Uint8Array>): Promise<void> => {
        for await (const _ of content) continue
      }
      const result = await host.cat(ref, path, take, { index })
      fetched = result.fetched_bytes
    })
    report(what, took, fetched)
  }
  process.stdout.write(`peak RSS ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB\n`)
} finally {
  await rm(folder, { recursive: true })
}

/** An image of the one layer. */
async function publish(): Promise<string> {
  const store = await createHost({ plugins: [local] }).openStore({
    scheme: 'local',
    bucket: folder,
  })
  const digester = new Digester()
  await pipeline(createReadStream(file), async (content: AsyncIterable<Buffer>) => {
    for await (const chunk of content) digester.update(chunk)
  })
  const { size } = await stat(file)
  const layer = { mediaType: MEDIA_TYPE.ociLayerGzip, digest: digester.digest(), size }
  await store.push(layer, async () => createReadStream(file))
  const config = toDocument(
    Buffer.from(
      JSON.stringify({
        os: 'linux',
        architecture: 'amd64',
        rootfs: { type: 'layers', diff_ids: [] },
      }),
    ),
    MEDIA_TYPE.ociConfig,
  )
  await store.push(config.descriptor, async () =>
    (await import('node:stream')).Readable.from([config.content]),
  )
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: config.descriptor,
    layers: [layer],
  }
  const root = toDocument(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest)
  await store.tag(root, { name: 'app', tag: 'v1' })
  await store.close()
  return `local://${folder}//app:v1`
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

function report(what: string, took: number, bytes: number): void {
  const mebibytes = bytes / 1024 / 1024
  process.stdout.write(`${what}: ${took.toFixed(2)} s, ${mebibytes.toFixed(1)} MiB\n`)
}
