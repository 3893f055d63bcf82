/**
 * Engines and S3 beside what the same bytes cost in the plainest way: `docker save | sha256sum`, a
 * save that is piped into one streaming put of the SDK, a load of the same archive from a file. The
 * engine's API is asked by curl, as the docker command would.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchRegistry } from './bench-clients.ts'
import {
  type Contender,
  type Cost,
  filesOpened,
  type PeerRow,
  race,
  run,
  s3lo,
} from './bench-process.ts'
import { writeBigArchive } from './big-archive.ts'
import { type CloudStore, cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'

const MIB = 1024 * 1024
const LAYERS = 5
const IMAGE_BYTES = 340 * MIB
const RSS_BAR_MB = 110
const RSS_BAR_S3_MB = 160
const TRANSFER = join(import.meta.dirname, 'bench-transfer.ts')

export interface EnginesBench {
  readonly work: string
  readonly rounds: number
  /** `unix://…` of an engine. */
  readonly engine?: string | undefined
  /** Has the images of `benchPeers`. */
  readonly registry?: BenchRegistry | undefined
}

/** Where the engine is asked for the image, or given it. */
interface EngineImage {
  readonly name: string
  readonly archive: string
  readonly socket: string
}

/** Measures every case that there are servers for. */
export async function benchEngines(bench: EnginesBench): Promise<readonly PeerRow[]> {
  const store = cloudStores(bench.work).find(({ scheme, endpoint }) => scheme === 's3' && endpoint)
  const bucket = await store?.makeBucket()
  const s3 =
    store && bucket !== undefined ? { store, bucket, env: storeEnv(store.env()) } : undefined
  try {
    const image = await loadImage(bench)
    return [
      ...(image ? [pushToLocal(bench, image), pullToEngine(bench, image)] : []),
      ...(image && s3
        ? [pushToS3(bench, image, referenceIn(s3.store, s3.bucket, 'bench/engine:v1'), s3)]
        : []),
      ...(bench.registry && s3
        ? [copyToS3(bench, bench.registry, referenceIn(s3.store, s3.bucket, 'bench/copy:v1'), s3)]
        : []),
    ]
  } finally {
    if (store && bucket !== undefined) await removeBucket(store, bucket)
  }
}

interface S3 {
  readonly store: CloudStore
  readonly bucket: string
  readonly env: Readonly<Record<string, string>>
}

function storeEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  return { ...Object.fromEntries(found), S3LO_PLUGIN_PATH: import.meta.dirname }
}

async function loadImage({ work, engine }: EnginesBench): Promise<EngineImage | undefined> {
  if (engine === undefined) return undefined
  const name = 'bench/engine:v1'
  const archive = join(work, 'engine.tar')
  await writeBigArchive(archive, { layerCount: LAYERS, layerBytes: IMAGE_BYTES / LAYERS, name })
  const image = { name, archive, socket: engine.replace('unix://', '') }
  run({ command: shell(load(image)) })
  return image
}

/** A row of `ours`, `yardstick` beside it. */
function rowOf(
  { work, rounds }: EnginesBench,
  name: string,
  contenders: readonly [ours: Contender, ...peers: Contender[]],
  allow: (peers: Readonly<Record<string, Cost>>) => Pick<PeerRow, 'allowed_s' | 'allowed_cpu_s'>,
): PeerRow {
  const { s3lo: ours, ...peers } = race(contenders, rounds)
  if (!ours) throw new Error(`${name}: ours did not take part`)
  return { name, ours, peers, ...allow(peers), files: filesOpened(contenders[0], work) }
}

function pushToLocal(bench: EnginesBench, image: EngineImage): PeerRow {
  const folder = join(bench.work, 'from-engine')
  const ours = s3lo(bench.work, ['push', image.name, `local://${folder}//bench/engine:v1`], {
    env: { DOCKER_HOST: `unix://${image.socket}` },
    before: () => {
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(folder)
      writeFileSync(join(folder, 's3lo.yaml'), 'chunked: false\n')
    },
  })
  const yardstick = { name: 'save | sha256sum', command: shell(`${save(image)} | sha256sum`) }
  const hash = { name: 'sha256sum', command: ['sha256sum', image.archive] }
  const row = rowOf(bench, '340 MB, engine to store', [ours, yardstick, hash], (peers) => ({
    allowed_s: 1.05 * seconds(peers, yardstick),
    allowed_cpu_s: 2 * (peers[hash.name]?.cpu ?? Number.NaN) + 0.5,
  }))
  return { ...row, rss_bar_mb: RSS_BAR_MB }
}

function pullToEngine(bench: EnginesBench, image: EngineImage): PeerRow {
  const source = `local://${join(bench.work, 'from-engine')}//bench/engine:v1`
  const forget = (): void => {
    run({
      command: shell(`${api(image)} -X DELETE 'http://d/images/${image.name}?force=1' || true`),
    })
  }
  const ours = s3lo(bench.work, ['pull', source, image.name], {
    env: { DOCKER_HOST: `unix://${image.socket}` },
    before: forget,
  })
  const yardstick = { name: 'load', command: shell(load(image)), before: forget }
  return rowOf(bench, '340 MB, store to engine', [ours, yardstick], (peers) => ({
    allowed_s: 1.05 * seconds(peers, yardstick),
  }))
}

function pushToS3(bench: EnginesBench, image: EngineImage, target: string, s3: S3): PeerRow {
  const whole = ['config', 'set', referenceIn(s3.store, s3.bucket), 'chunked=false']
  const empty = {
    before: () => {
      emptyBucket(s3)
      run(s3lo(bench.work, whole, { env: s3.env }))
    },
  }
  const ours = s3lo(bench.work, ['push', image.name, target], {
    env: { ...s3.env, DOCKER_HOST: `unix://${image.socket}` },
    ...empty,
  })
  const put = `"${process.execPath}" "${TRANSFER}" sdk put s3 ${s3.bucket} -`
  const yardstick = {
    name: 'save | put of the SDK',
    command: shell(`${save(image)} | ${put}`),
    env: s3.env,
    ...empty,
  }
  const row = rowOf(bench, '340 MB, engine to S3', [ours, yardstick], (peers) => ({
    allowed_s: 1.2 * seconds(peers, yardstick),
  }))
  return { ...row, rss_bar_mb: RSS_BAR_S3_MB }
}

function copyToS3(bench: EnginesBench, { host }: BenchRegistry, target: string, s3: S3): PeerRow {
  const image = `${host}/bench/peers-340:v1`
  const folder = join(bench.work, 'from-registry')
  const ours = s3lo(bench.work, ['copy', image, target], {
    env: s3.env,
    before: () => emptyBucket(s3),
  })
  const yardstick = {
    ...s3lo(bench.work, ['copy', image, `local://${folder}//bench/copy:v1`]),
    name: 'ours to a local store',
    before: () => rmSync(folder, { recursive: true, force: true }),
  }
  const row = rowOf(bench, '340 MB, registry to S3', [ours, yardstick], (peers) => ({
    allowed_s: 1.5 * seconds(peers, yardstick),
  }))
  return { ...row, rss_bar_mb: RSS_BAR_S3_MB }
}

/** Removes every object, so that the next round sends all of them again. */
function emptyBucket({ bucket, env }: S3): void {
  run({ command: [process.execPath, TRANSFER, 'ours', 'empty', 's3', bucket], env })
}

function seconds(
  peers: Readonly<Record<string, Cost>>,
  { name }: { readonly name: string },
): number {
  return peers[name]?.seconds ?? Number.NaN
}

function api({ socket }: EngineImage): string {
  return `curl -sS --fail --unix-socket ${socket}`
}

function save(image: EngineImage): string {
  return `${api(image)} http://d/images/${image.name}/get`
}

function load(image: EngineImage): string {
  const headers = '-H content-type:application/x-tar -H expect:'
  return `${api(image)} -X POST ${headers} -T ${image.archive} http://d/images/load`
}

function shell(command: string): readonly string[] {
  return ['bash', '-c', `set -o pipefail; ${command}`]
}
