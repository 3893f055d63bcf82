/**
 * Measures indexing a gzip layer and reading one small file of it, in a directory store, against
 * bars: `node --conditions=s3lo-source integration/bench-soci.ts LAYER.tar.gz PATH`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import local from '@s3lo/backend-local/plugin'
import { createHost, Digester, MEDIA_TYPE, toDocument } from '@s3lo/core'
import soci from '@s3lo/soci/plugin'
import { RequestLog } from './request-log.ts'
import { SourceCli } from './source-cli.ts'

/** What a process took. */
interface Cost {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly rssMb: number
}

const MAX_RSS_MB = 200
/** Of the processor time that gunzip takes. */
const MAX_BUILD_RATIO = 5
/** Of a layer of 300 MB; larger ones have larger indexes. */
const MAX_FETCHED_SHARE = (8 * 1024 * 1024) / 300e6
const MAX_CAT_RATIO = 0.1

const GUNZIP = `
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
const content = createReadStream(process.argv[1]).pipe(createGunzip({ chunkSize: 262144 }))
for await (const _ of content) continue`
const REPORT = `process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  process.stderr.write('cost ' + (userCPUTime + systemCPUTime) + ' ' + maxRSS + '\\n')
})`
const CLI = join(import.meta.dirname, '../apps/cli/src/main.ts')
const [file = '', path = ''] = process.argv.slice(2)
const folder = await mkdtemp(join(tmpdir(), 's3lo-bench-soci-'))
let failures = 0
try {
  await SourceCli.open(folder)
  const ref = await publish()
  const { size } = await stat(file)
  const gunzip = await measure(process.execPath, ['--input-type=module', '-e', GUNZIP, file])
  const create = [CLI, 'soci', 'create', ref, '--min-layer-size', '0', '--quiet']
  const build = await measure(process.execPath, ['--conditions=s3lo-source', ...create])
  note('gunzip: processor (s)', gunzip.cpuSeconds)
  note('soci create: processor (s)', build.cpuSeconds, gunzip.cpuSeconds * MAX_BUILD_RATIO)
  note('soci create: RSS (MB)', build.rssMb, MAX_RSS_MB)
  const tar = await measure('tar', ['-xzOf', file, path.replace(/^\//, '')])
  const bytes = size * MAX_FETCHED_SHARE
  for (const what of ['first', 'second']) {
    const { fetched, seconds, requests } = await cat(ref)
    process.stdout.write(requests)
    note(`cat, ${what}: fetched (MB)`, fetched / 1e6, bytes / 1e6)
    note(
      `cat, ${what}: wall (s), tar ${tar.seconds.toFixed(2)}`,
      seconds,
      tar.seconds * MAX_CAT_RATIO,
    )
  }
} finally {
  await rm(folder, { recursive: true })
}
process.exitCode = failures === 0 ? 0 : 1

function note(what: string, value: number, bar?: number): void {
  const isOver = bar !== undefined && value > bar
  if (isOver) failures += 1
  const against = bar === undefined ? '' : `, bar ${bar.toFixed(2)}${isOver ? ': MISSED' : ''}`
  process.stdout.write(`${what}: ${value.toFixed(2)}${against}\n`)
}

/** Runs a process to its end; one of Node says itself what it took. */
async function measure(program: string, args: readonly string[]): Promise<Cost> {
  const report = `data:text/javascript,${encodeURIComponent(REPORT)}`
  const own = program === process.execPath ? ['--import', report] : []
  const start = performance.now()
  const child = spawn(program, [...own, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, S3LO_PLUGIN_PATH: join(folder, 'plugins') },
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status}, ${stderr}`)
  const seconds = (performance.now() - start) / 1000
  const [, cpu = NaN, rss = NaN] = /cost (\d+) (\d+)\n$/.exec(stderr) ?? []
  return { seconds, cpuSeconds: Number(cpu) / 1e6, rssMb: (Number(rss) * 1024) / 1e6 }
}
/** An image of the one layer. */
async function publish(): Promise<string> {
  const store = await createHost({ plugins: [local] }).openStore(`local://${folder}//`)
  const publication = store.begin()
  const digester = new Digester()
  await pipeline(createReadStream(file), async (content: AsyncIterable<Buffer>) => {
    for await (const chunk of content) digester.update(chunk)
  })
  const { size } = await stat(file)
  const layer = { mediaType: MEDIA_TYPE.ociLayerGzip, digest: digester.digest(), size }
  await publication.put(layer, async () => createReadStream(file))
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
  await publication.put(config.descriptor, async () => Readable.from([config.content]))
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: config.descriptor,
    layers: [layer],
  }
  const root = toDocument(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPE.ociManifest)
  await publication.tag(root, { name: 'app', tag: 'v1' })
  await store.close()
  return `local://${folder}//app:v1`
}

/** Reads the file once, in this process; with the requests that this takes, in their order. */
async function cat(ref: string): Promise<{ fetched: number; seconds: number; requests: string }> {
  const log = new RequestLog()
  const start = performance.now()
  const take = async (content: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const _ of content) continue
  }
  const host = createHost({ plugins: [log.logged(local), soci] })
  const { fetched_bytes: fetched } = await host.cat(ref, path, take, { platform: 'linux/amd64' })
  const seconds = (performance.now() - start) / 1000
  return { fetched, seconds, requests: log.toString() }
}
