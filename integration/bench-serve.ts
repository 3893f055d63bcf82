/**
 * `s3lo serve` in `pnpm bench`, beside Debian's docker-registry: the same requests by the same client in turn,
 * on files and, where the environment names one, on S3. Servers run on the first processor and the client
 * on the second; without docker-registry, ours are measured alone. S3 shares the two.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Load, LoadResult } from './bench-serve-load.ts'
import { type CloudStore, cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import { SourceCli } from './source-cli.ts'

const MB = 1_000_000
const LOAD = join(import.meta.dirname, 'bench-serve-load.ts')
const NAME = 'bench/app'

/** One case: what both took. */
export interface ServeRow {
  readonly name: string
  readonly ours: LoadResult
  readonly peer: LoadResult | undefined
  /** Of our speed to the peer's, at least. */
  readonly bar: number
}

/** A figure of ours alone. */
export interface ServeFigure {
  readonly name: string
  readonly value: number
  readonly bar: number
}

export interface ServeBench {
  readonly work: string
  readonly rounds: number
  readonly note: (figure: ServeFigure) => void
}

interface Server {
  readonly url: string
  readonly child: ChildProcess
}

/** Every case on every store that is there. */
export async function benchServe(bench: ServeBench): Promise<readonly ServeRow[]> {
  const stores = cloudStores(bench.work).filter(({ name }) => /^local$|Ceph/.test(name))
  const rows: ServeRow[] = []
  for (const store of stores) {
    await using place = await openPlace(bench.work, store)
    rows.push(...(await compare(bench, place, store.name, 'never')))
    if (store.scheme !== 'local') {
      rows.push(...(await compare(bench, place, store.name, 'always')))
    }
    await measureMemory(bench, place, store)
  }
  return rows
}

/** Whether clients read blobs of the store themselves. */
type Redirect = 'always' | 'never'

/** A store, and servers of it. */
interface Place extends AsyncDisposable {
  readonly ours: (redirect: Redirect) => Promise<Server>
  /** `undefined` where there is no docker-registry. */
  readonly peer: (redirect: Redirect) => Promise<Server | undefined>
  /** Gives what removes all that was stored since, so that repeated pushes do not fill the store. */
  readonly mark: () => Promise<() => Promise<void>>
}

async function openPlace(work: string, store: CloudStore): Promise<Place> {
  const folder = join(work, `serve-${store.scheme}`)
  mkdirSync(join(folder, 'home'), { recursive: true })
  const cli = await SourceCli.open(folder)
  const bucket = await store.makeBucket()
  const peers = await store.makeBucket()
  return {
    ours: async (redirect) => {
      const words = ['serve', referenceIn(store, bucket), '--listen', '127.0.0.1:0']
      const child = cli.spawn([...words, '--redirect', redirect], store.env())
      for await (const line of createInterface(child.stderr)) {
        const [, url] = / at (http:\S+)/.exec(line) ?? []
        if (url !== undefined) return pinned(url, child)
      }
      throw new Error('s3lo serve did not start')
    },
    peer: (redirect) => startPeer(folder, store, peers, redirect),
    mark: async () => {
      const removals = await Promise.all([bucket, peers].map((name) => markStore(store, name)))
      return async () => {
        for (const remove of removals) await remove()
      }
    },
    async [Symbol.asyncDispose]() {
      await removeBucket(store, bucket)
      await removeBucket(store, peers)
    },
  }
}

async function markStore(store: CloudStore, bucket: string): Promise<() => Promise<void>> {
  const before = new Set(await keysOf(store, bucket))
  return async () => {
    const since = (await keysOf(store, bucket)).filter((key) => !before.has(key))
    const backend = await store.open(bucket)
    await backend.delete(since)
    await backend.close?.()
  }
}

async function keysOf(store: CloudStore, bucket: string): Promise<readonly string[]> {
  const backend = await store.open(bucket)
  const keys: string[] = []
  for await (const { key } of backend.list('')) keys.push(key)
  await backend.close?.()
  return keys
}

async function startPeer(
  folder: string,
  store: CloudStore,
  bucket: string,
  redirect: Redirect,
): Promise<Server | undefined> {
  const port = await freePort()
  const config = join(folder, 'registry.json')
  const env = store.env()
  const storage =
    store.scheme === 'local'
      ? { filesystem: { rootdirectory: bucket } }
      : {
          s3: {
            accesskey: env['AWS_ACCESS_KEY_ID'],
            secretkey: env['AWS_SECRET_ACCESS_KEY'],
            region: 'us-east-1',
            regionendpoint: store.endpoint,
            bucket,
            secure: false,
          },
          redirect: { disable: redirect === 'never' },
        }
  writeFileSync(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { ...storage, cache: { blobdescriptor: 'inmemory' } },
      http: { addr: `127.0.0.1:${port}` },
    }),
  )
  const child = spawn('docker-registry', ['serve', config], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
  })
  const ended = once(child, 'exit').catch(() => {})
  const url = `http://127.0.0.1:${port}`
  const isUp = await Promise.race([ended.then(() => false), answers(url)])
  return isUp ? pinned(url, child) : undefined
}

async function answers(url: string): Promise<boolean> {
  for (;;) {
    const isUp = await fetch(`${url}/v2/`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isUp) return true
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Every thread of a server, on one processor. */
function pinned(url: string, child: ChildProcess): Server {
  spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', '0', String(child.pid)])
  return { url, child }
}

async function stop({ child }: Server): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

function loadOf(server: Server, load: Omit<Load, 'url'>): LoadResult {
  const given = JSON.stringify({ ...load, url: server.url })
  const words = ['--cpu-list', '1', process.execPath, LOAD, given]
  const { stdout, stderr, status } = spawnSync('taskset', words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${given} failed: ${stderr}`)
  return JSON.parse(stdout) as LoadResult
}

async function compare(
  { rounds }: ServeBench,
  place: Place,
  where: string,
  redirect: Redirect,
): Promise<readonly ServeRow[]> {
  const servers = { ours: await place.ours(redirect), peer: await place.peer(redirect) }
  try {
    const { digest, blobs } = await fill(servers.ours, servers.peer)
    const removeSince = await place.mark()
    const rows: ServeRow[] = []
    const cases = redirect === 'never' ? casesOf(where, digest, blobs) : redirected(where, blobs)
    for (const { name, bar, ...load } of cases) {
      const results: { ours: LoadResult[]; peer: LoadResult[] } = { ours: [], peer: [] }
      for (let round = 0; round <= rounds; round++) {
        const ours = loadOf(servers.ours, load)
        const peer = servers.peer && loadOf(servers.peer, load)
        if (load.method === 'POST' || load.method === 'PATCH') await removeSince()
        if (round === 0) continue // The first warms the caches.
        results.ours.push(ours)
        if (peer) results.peer.push(peer)
      }
      const row = { name, bar, ours: middle(results.ours) ?? NONE, peer: middle(results.peer) }
      const theirs = row.peer ? `${row.peer.perSecond.toFixed(1)}/s` : 'no docker-registry here'
      console.error(`${name}: ${row.ours.perSecond.toFixed(1)}/s, ${theirs}`)
      rows.push(row)
    }
    return rows
  } finally {
    for (const server of [servers.ours, servers.peer]) if (server) await stop(server)
  }
}

const NONE: LoadResult = { perSecond: Number.NaN, mibPerSecond: Number.NaN, p50: 0, p99: 0 }

function middle(results: readonly LoadResult[]): LoadResult | undefined {
  return results.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(results.length / 2)]
}

interface Case extends Omit<Load, 'url'> {
  readonly name: string
  readonly bar: number
}

function casesOf(
  where: string,
  digest: string,
  blobs: ReadonlyMap<number, string>,
): readonly Case[] {
  const isLocal = where === 'local'
  const cases: Case[] = []
  for (const clients of [1, 8, 64]) {
    for (const [by, reference] of Object.entries({ tag: 'v1', digest })) {
      for (const method of ['HEAD', 'GET'] as const) {
        const name = `${where}: ${method} manifest by ${by}, ${clients} clients`
        const count = (clients === 1 ? 600 : 3000) / (isLocal ? 1 : 10)
        const path = `/v2/${NAME}/manifests/${reference}`
        cases.push({ name, method, path, clients, count, bytes: 0, bar: 1 })
      }
    }
  }
  cases.push(...pulls(where, blobs))
  for (const [bytes, count] of [
    [MB, 40],
    [10 * MB, 12],
    [100 * MB, 4],
  ] as const) {
    for (const method of ['POST', 'PATCH'] as const) {
      const name = `${where}: push ${bytes / MB} MB, ${method === 'POST' ? 'monolithic' : 'streamed'}`
      const path = `/v2/${NAME}`
      cases.push({ name, method, path, clients: 1, count, bytes, bar: isLocal ? 0.8 : 1 })
    }
  }
  return cases
}

function pulls(where: string, blobs: ReadonlyMap<number, string>): readonly Case[] {
  return [...blobs].map(([bytes, blob]) => ({
    name: `${where}: pull ${bytes / MB} MB`,
    method: 'GET',
    path: `/v2/${NAME}/blobs/${blob}`,
    clients: bytes === MB ? 8 : 2,
    count: bytes > MB ? 10 : where === 'local' ? 300 : 60,
    bytes,
    bar: 1,
  }))
}

function redirected(where: string, blobs: ReadonlyMap<number, string>): readonly Case[] {
  return pulls(where, blobs).map((each) => ({ ...each, name: `${each.name}, redirected` }))
}

/** Puts a small image and blobs of 1 and 100 MB into the servers. */
async function fill(
  ...servers: readonly (Server | undefined)[]
): Promise<{ readonly digest: string; readonly blobs: ReadonlyMap<number, string> }> {
  const config = Buffer.from('{"architecture":"amd64","os":"linux"}')
  const layers = [MB, 100 * MB].map((bytes) => randomBytes(bytes))
  const descriptor = (mediaType: string, bytes: Buffer): object => ({
    mediaType: `application/vnd.oci.image.${mediaType}`,
    digest: digestOf(bytes),
    size: bytes.byteLength,
  })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('config.v1+json', config),
    layers: layers.map((layer) => descriptor('layer.v1.tar', layer)),
  })
  for (const server of servers) {
    if (!server) continue
    for (const blob of [config, ...layers]) await pushBlob(server.url, blob)
    const answer = await fetch(`${server.url}/v2/${NAME}/manifests/v1`, {
      method: 'PUT',
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      body: manifest,
    })
    if (answer.status !== 201) throw new Error(`${server.url}: ${await answer.text()}`)
  }
  const blobs = new Map(layers.map((layer) => [layer.byteLength, digestOf(layer)]))
  return { digest: digestOf(Buffer.from(manifest)), blobs }
}

async function pushBlob(url: string, blob: Buffer): Promise<void> {
  const begun = await fetch(`${url}/v2/${NAME}/blobs/uploads/`, { method: 'POST' })
  const location = new URL(begun.headers.get('location') ?? '', url)
  location.searchParams.set('digest', digestOf(blob))
  const body = new Uint8Array(blob)
  const { status } = await fetch(location, { method: 'PUT', body })
  if (status !== 201) throw new Error(`${url}: a blob was answered with ${status}`)
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The most memory of a server while many move 100 MB at once. */
async function measureMemory(
  { note }: ServeBench,
  place: Place,
  { name, scheme }: CloudStore,
): Promise<void> {
  const bytes = 100 * MB
  const bar = scheme === 'local' ? 200 : 350
  const filled = await place.ours('never')
  const { blobs } = await fill(filled)
  await stop(filled)
  const removeSince = await place.mark()
  const pull = { method: 'GET', path: `/v2/${NAME}/blobs/${blobs.get(bytes)}` } as const
  const push = { method: 'PATCH', path: `/v2/${NAME}` } as const
  for (const [what, load] of [
    ['64 pulls of 100 MB', { ...pull, clients: 64, count: 64, bytes }],
    ['32 pushes of 100 MB', { ...push, clients: 32, count: 32, bytes }],
  ] as const) {
    const server = await place.ours('never')
    try {
      loadOf(server, load)
      const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8')
      const kib = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1])
      note({ name: `${name}: RSS of ${what} at once (MB)`, value: kib / 1024, bar })
    } finally {
      await stop(server)
    }
    await removeSince()
  }
}

export function printServe(rows: readonly ServeRow[]): void {
  if (rows.length === 0) return
  const speed = (result: LoadResult | undefined): string => result?.perSecond.toFixed(1) ?? ''
  console.table(
    rows.map(({ name, ours, peer, bar }) => {
      const ratio = peer && ours.perSecond / peer.perSecond
      return {
        serve: name,
        'ours (1/s)': speed(ours),
        'docker-registry (1/s)': speed(peer),
        ratio: ratio?.toFixed(2) ?? '',
        bar,
        ok: ratio === undefined ? '' : ratio >= bar ? 'yes' : 'NO',
        'MiB/s': ours.mibPerSecond > 0 ? ours.mibPerSecond.toFixed(0) : '',
        'their MiB/s': peer && peer.mibPerSecond > 0 ? peer.mibPerSecond.toFixed(0) : '',
        'p50 / p99 (ms)': `${ours.p50.toFixed(2)} / ${ours.p99.toFixed(2)}`,
        'theirs (ms)': peer ? `${peer.p50.toFixed(2)} / ${peer.p99.toFixed(2)}` : '',
      }
    }),
  )
}
