/**
 * Copies from a registry, beside the clients that people use today: crane, oras, regctl where it is
 * installed, and skopeo. All of them copy the same image in turn.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { imageFixture, indexFixture } from '@s3lo/core/testing'
import { type BenchRegistry, commandOf, envOf, peersThatCopy } from './bench-clients.ts'
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
import { LoopbackProxy } from './loopback-proxy.ts'
import { writeOciLayout } from './oci-layout.ts'

const MIB = 1024 * 1024
/** Of 0.2 s where an empty Node program takes 0.045. */
const UNCHANGED_TO_NODE = 0.2 / 0.045
const RSS_BAR_MB = 110

export interface PeersBench {
  /** A folder for images and copies. */
  readonly work: string
  readonly registries: readonly BenchRegistry[]
  readonly rounds: number
}

/** An image in a registry, and where it is copied to. */
interface PeerCase extends Omit<PeersBench, 'registries'> {
  readonly name: string
  readonly mib: number
  readonly image: string
  readonly registry: BenchRegistry
  readonly to: 'layout' | 'store'
  /** Whether the copy of the round before is removed. */
  readonly isFresh: boolean
}

/** Measures every case. */
export async function benchPeers({
  registries,
  ...bench
}: PeersBench): Promise<readonly PeerRow[]> {
  const rows: PeerRow[] = []
  for (const { name, mib, path } of await makeImages(bench.work, registries)) {
    for (const registry of registries) {
      const image = `${registry.host}/${path}`
      const tls = registry.ca ? ', TLS' : ''
      for (const to of ['layout', 'store'] as const) {
        for (const isFresh of [true, false]) {
          const what = `${name}, registry to ${to}${tls}${isFresh ? '' : ', again unchanged'}`
          rows.push(await measure({ ...bench, name: what, mib, image, registry, to, isFresh }))
        }
      }
    }
  }
  return rows
}

async function measure(one: PeerCase): Promise<PeerRow> {
  const { work, registry, rounds, isFresh, name, mib } = one
  const folderOf = (client: string): string => join(work, `copy-${client}`)
  const begin = (folder: string): void => {
    if (isFresh) rmSync(folder, { recursive: true, force: true })
  }
  const ours = oursOf(one, one.image, folderOf('ours'), begin)
  const idle = { name: 'node -e 0', command: [process.execPath, '-e', '0'] }
  const peers = [...peersThatCopy(one, folderOf, begin), ...(isFresh ? [] : [idle])]
  const { s3lo: cost, ...others } = race([ours, ...peers], rounds)
  const files = filesOpened(ours, work)
  // A proxy would have no certificate.
  const requests = registry.ca ? undefined : await countRequests(one, folderOf('ours'), begin)
  for (const { name: client } of [...peers, { name: 'ours' }]) {
    rmSync(folderOf(client), { recursive: true, force: true })
  }
  return {
    name,
    ours: cost ?? { seconds: Number.NaN, cpu: Number.NaN },
    peers: others,
    allowed_s: isFresh
      ? allowed(others, mib)
      : (others['node -e 0']?.seconds ?? 0) * UNCHANGED_TO_NODE,
    rss_bar_mb: RSS_BAR_MB,
    requests,
    files,
  }
}

/** 1.25 × the best of crane, oras and regctl and 0.15 s; of large images also 0.8 × skopeo. */
function allowed({ skopeo, ...others }: Readonly<Record<string, Cost>>, mib: number): number {
  const best = Math.min(...Object.values(others).map(({ seconds }) => seconds))
  const bySkopeo = mib >= 340 && skopeo ? 0.8 * skopeo.seconds : Infinity
  return Math.min(1.25 * best + 0.15, bySkopeo)
}

function oursOf(
  { work, to, registry }: PeerCase,
  image: string,
  folder: string,
  begin: (folder: string) => void,
): Contender {
  const target = to === 'layout' ? `oci:${folder}:v1` : `local://${folder}//bench/copy:v1`
  const trust = registry.ca ? ['--tls-ca', registry.ca] : []
  const options = { before: () => begin(folder), env: envOf(registry) }
  return s3lo(work, ['copy', image, target, ...trust], options)
}

/** The requests of one copy by us. */
async function countRequests(
  one: PeerCase,
  folder: string,
  begin: (folder: string) => void,
): Promise<number> {
  const proxy = await LoopbackProxy.start(`http://${one.registry.host}`)
  try {
    const [, ...path] = one.image.split('/')
    const proxied = `${new URL(proxy.url).host}/${path.join('/')}`
    const { command, env, before } = oursOf(one, proxied, folder, begin)
    before?.()
    const [program = '', ...args] = command
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, ...env },
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
  readonly mib: number
  /** Repository and tag. */
  readonly path: string
}

/** Puts an image of each size into the registries, with layers that are compressed already. */
async function makeImages(
  work: string,
  registries: readonly BenchRegistry[],
): Promise<readonly Image[]> {
  const images: Image[] = [await makePlatforms(work, registries)]
  for (const [name, layerCount, mib] of [
    ['5 MB', 2, 5],
    ['67 MB', 4, 67],
    ['340 MB', 6, 340],
    ['1 GB', 12, 1024],
  ] as const) {
    const archive = join(work, 'image.tar')
    const layerBytes = Math.round((mib * MIB) / layerCount)
    await writeBigArchive(archive, { layerCount, layerBytes, name: 'bench/big:v1' })
    const path = `bench/peers-${mib}:v1`
    const flags = ['--quiet', '--format', 'oci', '--dest-tls-verify=false']
    for (const registry of registries) {
      const target = `docker://${registry.host}/${path}`
      const words = ['copy', ...flags, `docker-archive:${archive}`, target]
      run({ command: [commandOf('skopeo'), ...words], env: envOf(registry) })
    }
    rmSync(archive)
    images.push({ name, mib, path })
  }
  return images
}

async function makePlatforms(work: string, registries: readonly BenchRegistry[]): Promise<Image> {
  const platforms = ['linux/amd64', 'linux/arm64', 'linux/s390x']
  const fixtures = platforms.map((platform) => [
    platform,
    imageFixture({ layers: ['base', platform], platform }),
  ])
  const layout = join(work, 'platforms')
  const path = 'bench/platforms:v1'
  await writeOciLayout(layout, 'v1', indexFixture(Object.fromEntries(fixtures)))
  for (const registry of registries) {
    const trust = registry.ca ? ['--tls-ca', registry.ca] : []
    const words = ['copy', `oci:${layout}:v1`, `${registry.host}/${path}`, ...trust]
    run(s3lo(work, words, { env: envOf(registry) }))
  }
  return { name: '3 platforms', mib: 0, path }
}
