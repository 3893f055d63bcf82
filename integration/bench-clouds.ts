/**
 * The clouds in `pnpm bench`: our backends beside the transfer helper of each cloud's own SDK, at the
 * same server, as whole processes in turn. S3LO_BENCH_LARGE=1 adds an object of more than 5 GiB.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Case, Sample } from './bench-case.ts'
import { writeBigArchive } from './big-archive.ts'
import { type CloudStore, cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import { costOfList, writeManyTags } from './many-tags.ts'
import { type Environment, SourceCli } from './source-cli.ts'

const MIB = 1024 * 1024
const TRANSFER_BYTES = 512 * MIB
const IMAGE_BYTES = 2048 * MIB
const LARGE_BYTES = 5 * 1024 * MIB + MIB + 1
const TAGS = 10_000
const ROUNDS = 5
/** A throughput of 0.95 takes so many times as long. */
const TIME_BAR = 1 / 0.95
const RSS_BAR_MB = 250
const TRANSFER = join(import.meta.dirname, 'bench-transfer.ts')

/** What the bench gives to run a case with. */
export interface CloudBench {
  readonly work: string
  readonly measure: (
    name: string,
    yardstick: (() => Sample) & { readonly text?: string },
    bar: number,
    options: Case,
  ) => void
  readonly run: (args: readonly string[], env: Record<string, string>) => Sample
  readonly s3lo: (args: readonly string[], env: Record<string, string>) => Sample
  /** A figure that has no yardstick, only a bar. */
  readonly note: (name: string, value: number, bar: number) => void
}

/** Runs the cases of every cloud whose server the environment names. */
export async function benchClouds(bench: CloudBench): Promise<void> {
  const stores = cloudStores(bench.work).filter(({ endpoint, isStrict }) => endpoint && isStrict)
  if (stores.length === 0) return
  const file = join(bench.work, 'object')
  const image = join(bench.work, 'image.tar')
  await writeBigArchive(file, { layerCount: 1, layerBytes: TRANSFER_BYTES, name: 'object:v1' })
  for (const store of stores)
    await inBucket(store, (bucket) => transfers(bench, store, bucket, file))
  rmSync(file)
  await writeBigArchive(image, { layerCount: 8, layerBytes: IMAGE_BYTES / 8, name: 'image:v1' })
  for (const store of stores) await inBucket(store, (bucket) => memory(bench, store, bucket, image))
  rmSync(image)
  for (const store of stores) await inBucket(store, (bucket) => listing(bench, store, bucket))
  if (process.env['S3LO_BENCH_LARGE'] !== '1') return
  for (const store of stores) await inBucket(store, (bucket) => large(bench, store, bucket))
}

async function inBucket(
  store: CloudStore,
  cases: (bucket: string) => void | Promise<void>,
): Promise<void> {
  const bucket = await store.makeBucket()
  try {
    await cases(bucket)
  } finally {
    await removeBucket(store, bucket)
  }
}

function transfers(bench: CloudBench, store: CloudStore, bucket: string, file: string): void {
  const target = join(bench.work, 'received')
  const run = (who: string, what: string, path: string): Sample =>
    bench.run(workerArgs(who, what, store, bucket, path), workerEnv(store))
  const sdk = (what: string, path: string): (() => Sample) & { readonly text: string } =>
    Object.assign(() => run('sdk', what, path), { text: "the SDK's own helper" })
  bench.measure(`${store.name}: put 512 MiB`, sdk('put', file), TIME_BAR, {
    ours: () => run('ours', 'put', file),
    rounds: ROUNDS,
  })
  bench.measure(`${store.name}: get 512 MiB`, sdk('get', target), TIME_BAR, {
    ours: () => run('ours', 'get', target),
    rounds: ROUNDS,
  })
  rmSync(target)
}

function memory(bench: CloudBench, store: CloudStore, bucket: string, image: string): void {
  const target = join(bench.work, 'pulled')
  const env = { ...store.env(), S3LO_PLUGIN_PATH: import.meta.dirname, XDG_CACHE_HOME: bench.work }
  const ref = referenceIn(store, bucket, 'image:v1')
  bench.s3lo(['config', 'set', referenceIn(store, bucket), 'chunked=false'], env)
  const pushed = bench.s3lo(['push', `docker-archive:${image}`, ref], env)
  bench.note(`${store.name}: RSS of a 2 GiB push (MB)`, pushed.rssMb ?? Number.NaN, RSS_BAR_MB)
  const args = ['pull', ref, `oci:${target}:v1`, '--platform', 'linux/amd64']
  const pulled = bench.s3lo(args, env)
  bench.note(`${store.name}: RSS of a 2 GiB pull (MB)`, pulled.rssMb ?? Number.NaN, RSS_BAR_MB)
  rmSync(target, { recursive: true })
}

async function listing(bench: CloudBench, store: CloudStore, bucket: string): Promise<void> {
  const home = join(bench.work, 'home')
  mkdirSync(home, { recursive: true })
  const cli = await SourceCli.open(home)
  const backend = await store.open(bucket)
  const names = await writeManyTags(backend, TAGS)
  await backend.close?.()
  const run = (args: readonly string[], env: Environment): ReturnType<SourceCli['run']> =>
    cli.run(args, env)
  const cost = await costOfList(store, bucket, { objects: TAGS, run })
  if (cost.lines.join() !== names.join()) throw new Error(`${store.name}: the list is not complete`)
  bench.note(`${store.name}: list of ${TAGS} tags, requests`, cost.requests, cost.bar)
  bench.note(`${store.name}: list of ${TAGS} tags, reads`, cost.reads, 0)
}

function large(bench: CloudBench, store: CloudStore, bucket: string): void {
  const args = workerArgs('ours', 'large', store, bucket, String(LARGE_BYTES))
  const { rssMb } = bench.run(args, workerEnv(store))
  bench.note(`${store.name}: RSS of 5 GiB up and down (MB)`, rssMb ?? Number.NaN, RSS_BAR_MB)
}

function workerArgs(
  who: string,
  what: string,
  { scheme }: CloudStore,
  bucket: string,
  target: string,
): readonly string[] {
  return [TRANSFER, who, what, scheme, bucket, target]
}

function workerEnv(store: CloudStore): Record<string, string> {
  return { ...store.env() }
}
