/**
 * Pushes and pulls of a layer in chunks beside those of the same layer whole, as processes of their
 * own in turn: in a folder, in an S3 service, and in that service behind a link of 1 Gbit/s.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Cost, medianCost, type PeerRow, run, s3lo } from './bench-process.ts'
import { writeArchive } from './big-archive.ts'
import { type CloudStore, cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import type { LayerPlan } from './generated-layer.ts'
import { machineLayer } from './machine-layer.ts'

const LAYER_BYTES = 1024 * 1024 * 1024
/** 1 Gbit/s. */
const LINK_BYTES_PER_SECOND = 125_000_000
const RSS_BAR_MB = 250

/** How long each may take, as a share of the same with the whole layer. */
interface Bars {
  readonly push: number
  readonly pull: number
  /** After an edit, of the whole layer's first push. */
  readonly edited: number
}

const LIMITED: Bars = { push: 0.6, pull: 0.7, edited: 0.25 }
const UNLIMITED: Bars = { push: 1.5, pull: 1.5, edited: 1.5 }

const CASES = ['push', 'push whole', 'push edited', 'pull', 'pull whole'] as const
type CaseName = (typeof CASES)[number]

interface Link {
  readonly name: string
  readonly store: CloudStore
  /** The service's end of the link that the processes use. */
  readonly endpoint: string | undefined
  readonly bars: Bars
}

interface Archives {
  readonly base: string
  readonly edited: string
}

export async function benchChunkTransfers(bench: {
  readonly work: string
  readonly rounds: number
}): Promise<readonly PeerRow[]> {
  const { work } = bench
  const archives = { base: join(work, 'base.tar'), edited: join(work, 'edited.tar') }
  await writeImage(archives.base, { bytes: LAYER_BYTES })
  await writeImage(archives.edited, { bytes: LAYER_BYTES, edits: new Map([[700, 'edited\n']]) })
  const stores = cloudStores(work).filter(({ scheme, isStrict }) => isStrict && isMeasured(scheme))
  const rows: PeerRow[] = []
  for (const store of stores) {
    const { name, endpoint } = store
    rows.push(...(await benchLink(bench, { name, store, endpoint, bars: UNLIMITED }, archives)))
    if (endpoint === undefined) continue
    await using limited = await limitLink(endpoint)
    const link = { name: `${name}, 1 Gbit/s`, store, endpoint: limited.endpoint, bars: LIMITED }
    rows.push(...(await benchLink(bench, link, archives)))
  }
  for (const path of Object.values(archives)) rmSync(path)
  return rows
}

function isMeasured(scheme: CloudStore['scheme']): boolean {
  return scheme === 'local' || scheme === 's3'
}

async function writeImage(path: string, plan: LayerPlan): Promise<void> {
  const content = (): Generator<Buffer> => machineLayer(plan)
  let size = 0
  for (const piece of content()) size += piece.length
  await writeArchive(path, 'app:v1', [{ size, content }])
}

async function benchLink(
  { work, rounds }: { readonly work: string; readonly rounds: number },
  link: Link,
  archives: Archives,
): Promise<readonly PeerRow[]> {
  const costs = new Map<CaseName, Cost[]>(CASES.map((name) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const [name, cost] of await runRound(work, link, archives)) {
      if (round > 0) costs.get(name)?.push(cost) // The first warms the caches.
    }
  }
  const of = (name: CaseName): Cost => medianCost(costs.get(name) ?? [])
  const row = (name: CaseName, whole: CaseName, bar: number): PeerRow => ({
    name: `${link.name}: ${name} 1 GiB`,
    ours: of(name),
    peers: { 'whole layer': of(whole) },
    allowed_s: bar * of(whole).seconds,
    rss_bar_mb: RSS_BAR_MB,
  })
  return [
    row('push', 'push whole', link.bars.push),
    row('push edited', 'push whole', link.bars.edited),
    row('pull', 'pull whole', link.bars.pull),
  ]
}

async function runRound(
  work: string,
  { store, endpoint }: Link,
  archives: Archives,
): Promise<ReadonlyMap<CaseName, Cost>> {
  const env = {
    ...store.env(endpoint),
    S3LO_PLUGIN_PATH: import.meta.dirname,
    XDG_CACHE_HOME: work,
    S3LO_FRAME_CACHE: '2048',
  }
  const cost = (...args: readonly string[]): Cost => run(s3lo(work, args, { env }))
  const [whole, chunked] = [await store.makeBucket(), await store.makeBucket()]
  const ref = (bucket: string, tag = 'app:v1'): string => referenceIn(store, bucket, tag)
  cost('config', 'set', ref(chunked, ''), 'chunked=true')
  cost('config', 'set', ref(whole, ''), 'chunked=false')
  // The first push of a round finds no frames of the one before; the edited one finds its own.
  rmSync(join(work, 's3lo', 'frames'), { recursive: true, force: true })
  const layout = join(work, 'pulled')
  const pull = (bucket: string): Cost => {
    const pulled = cost('pull', ref(bucket), `oci:${layout}:v1`)
    rmSync(layout, { recursive: true })
    return pulled
  }
  const costs = new Map<CaseName, Cost>([
    ['push whole', cost('push', `docker-archive:${archives.base}`, ref(whole))],
    ['push', cost('push', `docker-archive:${archives.base}`, ref(chunked))],
    ['push edited', cost('push', `docker-archive:${archives.edited}`, ref(chunked, 'app:v2'))],
    ['pull whole', pull(whole)],
    ['pull', pull(chunked)],
  ])
  for (const bucket of [whole, chunked]) await removeBucket(store, bucket)
  return costs
}

interface LimitedLink extends AsyncDisposable {
  readonly endpoint: string
}

/** In a process of its own, so that it takes no time from what is measured but the machine's. */
async function limitLink(endpoint: string): Promise<LimitedLink> {
  const { port } = new URL(endpoint)
  const script = join(import.meta.dirname, 'rate-limiter.ts')
  const child = spawn(process.execPath, [script, port, String(LINK_BYTES_PER_SECOND)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [limited] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return {
    endpoint: `http://127.0.0.1:${limited}`,
    async [Symbol.asyncDispose]() {
      child.kill()
      await once(child, 'exit')
    },
  }
}
