/**
 * Replicas of `s3lo serve` that are killed with -9 while clients push through them, on a local store and on
 * Ceph, as often as S3LO_TEST_KILLS says (70 and 30 times by default). No tag breaks, and each push ends well, at the latest when the client tries it again.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import local from '@s3lo/backend-local/plugin'
import s3 from '@s3lo/backend-s3/plugin'
import { copy, createHost, ImageStore, isS3loError, type Reference, successors } from '@s3lo/core'
import { FixtureSource, imageFixture, type ImageFixture } from '@s3lo/core/testing'
import { RegistryClient, RegistryRepository } from '@s3lo/source-registry'
import { afterAll, describe, expect, it } from 'vitest'
import { type CloudStore, cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import { randomOf } from './random.ts'
import { type PushPhase, Replicas } from './serve-replicas.ts'
import { SourceCli } from './source-cli.ts'

const kills = process.env['S3LO_TEST_KILLS']
/** For each kill (milliseconds): another replica has to start before the next. */
const KILL_TIMEOUT_MS = 15_000
const REPLICAS = 3
const PUSHERS = 3
const TAGS = 4
const SEED = 2026
const KIB = 1024
/** Below the chunks of the client, a few of them, and the blobs that it sends at once. */
const CHUNK_BYTES = 256 * KIB
const LAYER_BYTES = [20 * KIB, 700 * KIB]
/** Where replicas are killed. */
interface Scene {
  readonly kills: number
  /** A request of the phase takes about so long (milliseconds). */
  readonly phases: Readonly<Record<PushPhase, number>>
}
const SCENES: Readonly<Record<string, Scene>> = {
  local: { kills: Number(kills ?? 70), phases: { upload: 25, publication: 40 } },
  's3 (Ceph)': { kills: Number(kills ?? 30), phases: { upload: 150, publication: 300 } },
}
/** A client that is run again finds most blobs there. */
const TRIES = 4

const work = await mkdtemp(join(tmpdir(), 's3lo-serve-killed-'))
afterAll(() => rm(work, { recursive: true }))

const stores = cloudStores(work).flatMap((store) => {
  const scene = SCENES[store.name]
  return scene ? [{ ...scene, store, name: store.name }] : []
})

describe.each(stores)('replicas on $name', ({ store, kills: total, phases }) => {
  it(
    `are killed ${total} times under uploads and publications`,
    async () => {
      const bucket = await store.makeBucket()
      await mkdir(join(work, store.scheme))
      const cli = await SourceCli.open(join(work, store.scheme))
      const options = ['--listen', '127.0.0.1:0', '--drain', '0s']
      const serve = ['serve', referenceIn(store, bucket), ...options]
      {
        await using replicas = await Replicas.start(() => cli.spawn(serve, store.env()), REPLICAS)
        const crew = new Crew(replicas.address, store, bucket)
        const random = randomOf(SEED)
        const pushing = Array.from({ length: PUSHERS }, (_member, n) => crew.pushUntilStopped(n))
        for (let kill = 0; kill < total; kill++) {
          const phase = kill % 2 === 0 ? 'upload' : 'publication'
          await replicas.killAt(phase, random() * phases[phase])
        }
        crew.stop()
        await Promise.all(pushing)
        expect(crew.pushes).toBeGreaterThan(total / 10)
        expect(replicas.broken).toBeGreaterThan(total / 4)
        process.stderr.write(
          `${store.name}: ${total} kills, ${replicas.broken} requests broken, ${crew.pushes} pushes, ${crew.repeats} run again\n`,
        )
      }
      await assertWhole(store, bucket)
      await removeBucket(store, bucket)
    },
    60_000 + total * KILL_TIMEOUT_MS,
  )
})

/** Clients that push images which are like no others to few tags, and look at each after it was pushed. */
class Crew {
  pushes = 0
  /** Pushes that had to be run again. */
  repeats = 0
  readonly #address: string
  readonly #store: CloudStore
  readonly #bucket: string
  #isStopped = false

  constructor(address: string, store: CloudStore, bucket: string) {
    this.#address = address
    this.#store = store
    this.#bucket = bucket
  }

  stop(): void {
    this.#isStopped = true
  }

  async pushUntilStopped(member: number): Promise<void> {
    const backend = await this.#store.open(this.#bucket)
    const store = new ImageStore(backend)
    for (let n = 0; !this.#isStopped; n++) {
      const reference = { name: 'team/app', tag: `v${(member + n) % TAGS}` }
      await this.#push(uniqueImage(`${member} ${n}`), reference)
      this.pushes += 1
      await readWhole(store, reference)
    }
    await backend.close?.()
  }

  async #push(image: ImageFixture, reference: Reference & { readonly tag: string }): Promise<void> {
    const client = new RegistryClient({ host: this.#address, plainHttp: true, env: {} })
    const target = new RegistryRepository(client, reference.name, { partBytes: CHUNK_BYTES })
    const source = new FixtureSource({ 'app:v1': image })
    for (let left = TRIES - 1; ; left--) {
      try {
        await copy({ source, reference: { name: 'app', tag: 'v1' } }, { target, reference })
        return
      } catch (error) {
        if (left === 0 || !isS3loError(error, 'UNAVAILABLE')) throw error
        this.repeats += 1
      }
    }
  }
}

function uniqueImage(label: string): ImageFixture {
  const layers = LAYER_BYTES.map((size) => Buffer.alloc(size, `${label} ${size} `))
  return imageFixture({ layers, label })
}

/** Reads what a tag names, every byte verified. */
async function readWhole(store: ImageStore, reference: Reference): Promise<void> {
  const { manifest } = await store.read(reference)
  for (const blob of successors(manifest)) for await (const _ of await store.fetch(blob));
}

async function assertWhole(store: CloudStore, bucket: string): Promise<void> {
  const env = store.env()
  const host = createHost({ plugins: [local, s3], env })
  const report = await host.doctor(referenceIn(store, bucket), { deep: true, probe: false })
  expect([report.manifest_issues, report.file_issues]).toEqual([undefined, undefined])
}
