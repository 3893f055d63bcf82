/**
 * `pnpm bench`: each case beside a physical yardstick, run in turn (A B A B), so that a machine whose
 * speed drifts slows both. Prints one table and writes bench-results.json. The figures are ratios;
 * a bar is what the project promises.
 *
 * Needs Linux with bash, coreutils and 6 GB of disk. S3LO_TEST_ENGINE_OVERLAY=unix://… adds the
 * engine's cases, the variables of the start scripts those of the clouds and of registries;
 * S3LO_BENCH_ONLY=start (or here, store, chunks, peers, clouds, serve) leaves out everything else.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Case, Sample } from './bench-case.ts'
import { benchChunks } from './bench-chunks.ts'
import { benchChunkTransfers } from './bench-chunk-transfers.ts'
import { benchClouds } from './bench-clouds.ts'
import { benchEngines } from './bench-engines.ts'
import { benchRegistries } from './bench-clients.ts'
import { benchPeers } from './bench-peers.ts'
import { type PeerRow, printPeers } from './bench-process.ts'
import { countRequests } from './bench-requests.ts'
import { benchServe, printServe } from './bench-serve.ts'
import { benchStart, printStarts } from './bench-start.ts'
import { benchStore, type StoreRow } from './bench-store.ts'
import { type BigArchive, writeBigArchive } from './big-archive.ts'

const BIN = join(import.meta.dirname, '../apps/cli/dist/main.cjs')
const PROBE = join(import.meta.dirname, 'bench-probe.cjs')
const ROUNDS = Number(process.env['S3LO_BENCH_ROUNDS'] ?? 3)
const MIB = 1024 * 1024

interface Row {
  readonly name: string
  readonly yardstick: string
  readonly ours_s: number
  readonly yardstick_s: number
  readonly ratio: number
  readonly bar: number
  readonly rss_mb?: number
  readonly written_ratio?: number
}

/** A figure without a yardstick. */
interface Figure {
  readonly name: string
  readonly value: number
  readonly bar: number
}

const rows: Row[] = []
const figures: Figure[] = []
const work = mkdtempSync(join(tmpdir(), 's3lo-bench-'))
try {
  await main()
} finally {
  rmSync(work, { recursive: true, force: true })
}

type Part = 'start' | 'here' | 'store' | 'chunks' | 'peers' | 'clouds' | 'serve'

/** Whether a part was asked for: all of them, or the one that S3LO_BENCH_ONLY names. */
function wants(part: Part): boolean {
  const only = process.env['S3LO_BENCH_ONLY']
  return only === undefined || only === part
}

async function main(): Promise<void> {
  const starts = wants('start') ? benchStart(work) : []
  if (wants('here')) await benchHere()
  const stores = wants('store') ? await benchStore(s3lo, ROUNDS) : []
  if (wants('store')) figures.push(...(await countRequests()))
  const chunked = wants('chunks') ? await benchChunkedLayers() : []
  const { copies, engines } = wants('peers')
    ? await benchBesidePeers()
    : { copies: [], engines: [] }
  if (wants('clouds')) {
    await benchClouds({
      work,
      measure,
      run: (args, env) => probed([...args], env),
      s3lo,
      note: (name, value, bar) => note({ name, value, bar }),
    })
  }
  const served = wants('serve') ? await benchServe({ work, rounds: ROUNDS, note }) : []
  printStarts(starts)
  print()
  printStores(stores)
  printPeers('layer in chunks', chunked)
  printPeers('copy', copies)
  printPeers('engine or S3', engines)
  printServe(served)
  const results = [
    ...starts,
    ...rows,
    ...figures,
    ...stores,
    ...chunked,
    ...copies,
    ...engines,
    ...served,
  ]
  writeFileSync('bench-results.json', `${JSON.stringify(results, null, 2)}\n`)
}

function note(figure: Figure): void {
  figures.push(figure)
}

async function benchChunkedLayers(): Promise<readonly PeerRow[]> {
  await benchChunks({ work, s3lo, note })
  return benchChunkTransfers({ work, rounds: ROUNDS })
}

async function benchBesidePeers(): Promise<{
  readonly copies: readonly PeerRow[]
  readonly engines: readonly PeerRow[]
}> {
  const registries = benchRegistries(work)
  const bench = { work, rounds: ROUNDS }
  const copies = registries.length > 0 ? await benchPeers({ ...bench, registries }) : []
  const engine = process.env['S3LO_TEST_ENGINE_OVERLAY']
  const engines = await benchEngines({ ...bench, engine, registry: registries[0] })
  return { copies, engines }
}

async function benchHere(): Promise<void> {
  const archive = await writeBigArchive(join(work, 'big.tar'), {
    layerCount: 12,
    layerBytes: Math.round((1024 * MIB) / 12),
    name: 'bench/big:v1',
  })
  pushFromFile(archive)
  pullToFile(archive)
  copyBetweenStores(archive)
  const engine = process.env['S3LO_TEST_ENGINE_OVERLAY']
  if (engine) pushFromEngine(engine, archive)
  else console.log('engine cases left out: S3LO_TEST_ENGINE_OVERLAY is not set')
}

function pushFromFile(archive: BigArchive): void {
  const source = `docker-archive:${archive.path}`
  measure('push 1 GiB from a file', teeYardstick(`cat ${archive.path}`), 1.5, {
    before: () => begin('store'),
    ours: () => s3lo(['push', source, ref('store')]),
    bytes: archive.size,
  })
  measure('push it again, unchanged', teeYardstick(`cat ${archive.path}`), 0.1, {
    ours: () => s3lo(['push', source, ref('store')]),
    bytes: archive.size,
  })
}

function pullToFile(archive: BigArchive): void {
  const target = join(work, 'pulled.tar')
  measure('pull 1 GiB to a file', teeYardstick(`cat ${archive.path}`), 1.5, {
    before: () => rmSync(target, { force: true }),
    ours: () => s3lo(['pull', ref('store'), `docker-archive:${target}:bench/big:v1`]),
    bytes: archive.size,
  })
  rmSync(target, { force: true })
}

function copyBetweenStores(archive: BigArchive): void {
  measure('copy 1 GiB from store to store', teeYardstick(`cat ${archive.path}`), 1.5, {
    before: () => clear('other'),
    ours: () => s3lo(['copy', ref('store'), ref('other')]),
    bytes: archive.size,
  })
  clear('other')
}

function pushFromEngine(engine: string, archive: BigArchive): void {
  const socket = engine.replace('unix://', '')
  const api = `curl -sS --fail --unix-socket ${socket}`
  shell(`${api} -X POST -H content-type:application/x-tar -T ${archive.path} http://d/images/load`)
  const save = `${api} http://d/images/${archive.name}/get`
  const env = { DOCKER_HOST: engine }
  measure('push 1 GiB from an engine', teeYardstick(save), 1.2, {
    before: () => begin('engine'),
    ours: () => s3lo(['push', archive.name, ref('engine')], env),
    bytes: archive.size,
  })
  measure('push it again, unchanged', teeYardstick(save), 0.1, {
    ours: () => s3lo(['push', archive.name, ref('engine')], env),
    bytes: archive.size,
  })
  clear('engine')
}

function measure(
  name: string,
  yardstick: (() => Sample) & { readonly text?: string },
  bar: number,
  { ours, before, bytes, rounds = ROUNDS }: Case,
): void {
  const pairs: { a: Sample; b: Sample }[] = []
  for (let round = 0; round < rounds + 1; round++) {
    before?.()
    const pair = { a: ours(), b: yardstick() }
    if (round > 0) pairs.push(pair) // The first warms the caches.
  }
  const written = pairs.map(({ a }) => a.written).filter((value) => value !== undefined)
  const rss = pairs.map(({ a }) => a.rssMb).filter((value) => value !== undefined)
  rows.push({
    name,
    yardstick: yardstick.text ?? '',
    ours_s: median(pairs.map(({ a }) => a.seconds)),
    yardstick_s: median(pairs.map(({ b }) => b.seconds)),
    ratio: median(pairs.map(({ a, b }) => a.seconds / b.seconds)),
    bar,
    ...(rss.length > 0 ? { rss_mb: Math.max(...rss) } : {}),
    ...(bytes && written.length > 0 ? { written_ratio: median(written) / bytes } : {}),
  })
}

/** What a disk and one hash cost for the same bytes, with any program. */
function teeYardstick(producer: string): (() => Sample) & { readonly text: string } {
  const copy = join(work, 'yardstick')
  const command = `${producer} | tee >(sha256sum > ${copy}.sum) > ${copy} && sync ${copy}`
  const run = () => {
    rmSync(copy, { force: true })
    const sample = time('bash', ['-c', command])
    rmSync(copy, { force: true })
    return sample
  }
  return Object.assign(run, { text: 'tee >(sha256sum) > copy && sync copy' })
}

function s3lo(args: readonly string[], env: Record<string, string> = {}): Sample {
  return probed([BIN, ...args, '--quiet'], env)
}

/** A Node program that writes down at its end what it cost. */
function probed(args: readonly string[], env: Record<string, string>): Sample {
  const report = join(work, 'probe.json')
  const sample = time(process.execPath, ['--require', PROBE, ...args], {
    ...env,
    S3LO_BENCH_PROBE: report,
  })
  return { ...sample, ...(JSON.parse(readFileSync(report, 'utf8')) as Omit<Sample, 'seconds'>) }
}

function time(command: string, args: readonly string[], env: Record<string, string> = {}): Sample {
  const start = performance.now()
  const { status, stderr } = spawnSync(command, args, {
    env: { ...process.env, ...env },
    maxBuffer: 64 * MIB,
  })
  const seconds = (performance.now() - start) / 1000
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stderr.toString()}`)
  return { seconds }
}

function shell(command: string): void {
  time('bash', ['-c', command])
}

function ref(store: string): string {
  return `local://${work}/${store}//bench/big:v1`
}

/** An empty store of whole layers, which the yardsticks write too. */
function begin(store: string): void {
  clear(store)
  mkdirSync(join(work, store))
  writeFileSync(join(work, store, 's3lo.yaml'), 'chunked: false\n')
}

function clear(store: string): void {
  rmSync(join(work, store), { recursive: true, force: true })
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function print(): void {
  if (rows.length === 0 && figures.length === 0) return
  const table = rows.map((row) => ({
    case: row.name,
    'ours (s)': row.ours_s.toFixed(3),
    'yardstick (s)': row.yardstick_s.toFixed(3),
    ratio: row.ratio.toFixed(2),
    bar: row.bar,
    ok: row.ratio <= row.bar ? 'yes' : 'NO',
    'peak RSS (MB)': row.rss_mb?.toFixed(0) ?? '',
    'written / image': row.written_ratio?.toFixed(3) ?? '',
  }))
  console.table(table)
  if (figures.length === 0) return
  console.table(
    figures.map(({ name, value, bar }) => ({
      figure: name,
      value: value < 100 ? value.toPrecision(3) : value.toFixed(0),
      bar,
      ok: value <= bar ? 'yes' : 'NO',
    })),
  )
}

function printStores(stores: readonly StoreRow[]): void {
  if (stores.length === 0) return
  const table = stores.map((row) => ({
    case: row.name,
    'wall (s)': row.seconds.toFixed(3),
    yardstick: row.yardstick.slice(0, 32),
    'yardstick (s)': row.yardstick_s.toFixed(3),
    ratio: (row.seconds / row.yardstick_s).toFixed(2),
    bar: row.bar,
    requests: row.requests,
    'peak RSS (MB)': row.rss_mb.toFixed(0),
    'RSS bar': row.rss_bar_mb,
    ok: row.rss_mb < row.rss_bar_mb && row.seconds <= row.bar * row.yardstick_s ? 'yes' : 'NO',
  }))
  console.table(table)
}
