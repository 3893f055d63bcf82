/**
 * Copies from a registry, beside the clients that people use today: crane, oras, regctl where it is
 * installed, and skopeo. All of them copy the same image in turn (A B C A B C), so that a machine
 * whose speed drifts slows each of them.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { imageFixture, indexFixture } from '@s3lo/core/testing'
import { writeBigArchive } from './big-archive.ts'
import { LoopbackProxy } from './loopback-proxy.ts'
import { writeOciLayout } from './oci-layout.ts'

const BIN = join(import.meta.dirname, '../apps/cli/dist/main.cjs')
const PROBE = join(import.meta.dirname, 'bench-probe.mjs')
const MIB = 1024 * 1024
/** The kernel counts the processor time of children in these. */
const TICKS_A_SECOND = 100

/** A copy, by us and by the others: seconds, but for the last three. */
export interface PeerRow {
  readonly name: string
  readonly ours_s: number
  readonly ours_cpu_s: number
  /** By name of the client. */
  readonly peers_s: Readonly<Record<string, number>>
  /** Ours by the best of crane, oras and regctl, in each round. */
  readonly ratio_to_best: number
  readonly ratio_to_skopeo: number
  readonly rss_mb: number
  readonly requests: number
}

export interface PeersBench {
  /** A folder for images and copies. */
  readonly work: string
  /** `host:port` of a registry without TLS and without credentials. */
  readonly registry: string
  readonly rounds: number
}

interface Cost {
  readonly seconds: number
  readonly cpu: number
}

interface Client {
  readonly name: string
  copy(image: string, layout: string): readonly string[]
}

const CLIENTS: readonly Client[] = [
  {
    name: 'crane',
    copy: (image, layout) => ['crane', 'pull', '--insecure', '--format=oci', image, layout],
  },
  {
    name: 'oras',
    copy: (image, layout) => [
      'oras',
      'copy',
      '--from-plain-http',
      image,
      '--to-oci-layout',
      `${layout}:v1`,
    ],
  },
  {
    name: 'regctl',
    copy: (image, layout) => [
      'regctl',
      '--host',
      `reg=${image.split('/', 1)[0]},tls=disabled`,
      'image',
      'copy',
      image,
      `ocidir://${layout}:v1`,
    ],
  },
  {
    name: 'skopeo',
    copy: (image, layout) => [
      'skopeo',
      'copy',
      '--all',
      '--quiet',
      '--preserve-digests',
      '--src-tls-verify=false',
      `docker://${image}`,
      `oci:${layout}:v1`,
    ],
  },
]

/** Measures every case. */
export async function benchPeers({
  work,
  registry,
  rounds,
}: PeersBench): Promise<readonly PeerRow[]> {
  const clients = CLIENTS.filter(({ name }) => isInstalled(name))
  const rows: PeerRow[] = []
  for (const { name, image } of await makeImages(work, registry)) {
    const bench = { work, image, clients, rounds }
    rows.push(await measure(`${name}, registry to layout`, { ...bench, isFresh: true }))
    rows.push(await measure(`${name}, again unchanged`, { ...bench, isFresh: false }))
  }
  return rows
}

interface PeerCase {
  readonly work: string
  readonly image: string
  readonly clients: readonly Client[]
  readonly rounds: number
  /** Whether the layout is removed before each copy. */
  readonly isFresh: boolean
}

async function measure(
  name: string,
  { work, image, clients, rounds, isFresh }: PeerCase,
): Promise<PeerRow> {
  const probe = join(work, 'probe.json')
  const layoutOf = (client: string): string => join(work, `layout-${client}`)
  const begin = (client: string): void => {
    if (isFresh) rmSync(layoutOf(client), { recursive: true, force: true })
  }
  const ours: Cost[] = []
  const peers = new Map<string, Cost[]>(clients.map((client) => [client.name, []]))
  for (let round = 0; round <= rounds; round++) {
    begin('ours')
    const args = ['--import', PROBE, BIN, 'copy', image, `oci:${layoutOf('ours')}:v1`, '--quiet']
    const cost = run([process.execPath, ...args], { S3LO_BENCH_PROBE: probe })
    if (round > 0) ours.push(cost) // The first warms the caches.
    for (const client of clients) {
      begin(client.name)
      const theirs = run(client.copy(image, layoutOf(client.name)))
      if (round > 0) peers.get(client.name)?.push(theirs)
    }
  }
  const { rssMb } = JSON.parse(readFileSync(probe, 'utf8')) as { readonly rssMb: number }
  begin('ours')
  const requests = await countRequests(image, layoutOf('ours'))
  const best = ours.map((_, i) =>
    Math.min(
      ...[...peers]
        .filter(([client]) => client !== 'skopeo')
        .map(([, costs]) => costs[i]?.seconds ?? Infinity),
    ),
  )
  const skopeo = peers.get('skopeo') ?? []
  return {
    name,
    ours_s: median(ours.map(({ seconds }) => seconds)),
    ours_cpu_s: median(ours.map(({ cpu }) => cpu)),
    peers_s: Object.fromEntries(
      [...peers].map(([client, costs]) => [client, median(costs.map(({ seconds }) => seconds))]),
    ),
    ratio_to_best: median(ours.map(({ seconds }, i) => seconds / (best[i] ?? Number.NaN))),
    ratio_to_skopeo: median(
      ours.map(({ seconds }, i) => seconds / (skopeo[i]?.seconds ?? Number.NaN)),
    ),
    rss_mb: Math.round(rssMb),
    requests,
  }
}

/** The requests of one copy by us. */
async function countRequests(image: string, layout: string): Promise<number> {
  const [host = '', ...path] = image.split('/')
  const proxy = await LoopbackProxy.start(`http://${host}`)
  try {
    const proxied = `${new URL(proxy.url).host}/${path.join('/')}`
    const child = spawn(process.execPath, [BIN, 'copy', proxied, `oci:${layout}:v1`, '--quiet'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const [status] = (await once(child, 'close')) as [number | null]
    if (status !== 0) throw new Error(`the copy through the proxy ended with ${status}`)
    return proxy.passed.length
  } finally {
    await proxy.close()
  }
}

interface Image {
  readonly name: string
  readonly image: string
}

/** Puts an image of each size into the registry, with layers that are compressed already. */
async function makeImages(work: string, registry: string): Promise<readonly Image[]> {
  const images: Image[] = []
  for (const [name, layerCount, mib] of [
    ['5 MB', 2, 5],
    ['67 MB', 4, 67],
    ['340 MB', 6, 340],
    ['1 GB', 12, 1024],
  ] as const) {
    const archive = join(work, 'image.tar')
    const layerBytes = Math.round((mib * MIB) / layerCount)
    await writeBigArchive(archive, { layerCount, layerBytes, name: 'bench/big:v1' })
    const image = `${registry}/bench/peers-${mib}:v1`
    const flags = ['--quiet', '--format', 'oci', '--dest-tls-verify=false']
    run(['skopeo', 'copy', ...flags, `docker-archive:${archive}`, `docker://${image}`])
    rmSync(archive)
    images.push({ name, image })
  }
  const platforms = ['linux/amd64', 'linux/arm64', 'linux/s390x']
  const index = indexFixture(
    Object.fromEntries(
      platforms.map((platform) => [
        platform,
        imageFixture({ layers: ['base', platform], platform }),
      ]),
    ),
  )
  const layout = join(work, 'platforms')
  await writeOciLayout(layout, 'v1', index)
  const image = `${registry}/bench/platforms:v1`
  run([process.execPath, BIN, 'copy', `oci:${layout}:v1`, image, '--quiet'])
  return [{ name: '3 platforms', image }, ...images]
}

function isInstalled(client: string): boolean {
  return spawnSync(commandOf(client), ['--help'], { stdio: 'ignore' }).error === undefined
}

/** A client can be named by a variable: integration/clients.sh prints them. */
function commandOf(client: string): string {
  return process.env[`S3LO_TEST_CLIENT_${client.toUpperCase()}`] ?? client
}

function run([command = '', ...args]: readonly string[], env: Record<string, string> = {}): Cost {
  const [start, cpu] = [performance.now(), childSeconds()]
  const options = { env: { ...process.env, ...env } }
  const { status, stderr, error } = spawnSync(commandOf(command), args, options)
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')}: ${stderr.toString()}`)
  return { seconds: (performance.now() - start) / 1000, cpu: childSeconds() - cpu }
}

/** Processor seconds of all children that have ended (proc(5): cutime and cstime). */
function childSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[13]) + Number(fields[14])) / TICKS_A_SECOND
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
