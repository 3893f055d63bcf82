import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { imageFixture } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CloudStore, cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import { type BeforePass, LoopbackProxy } from './loopback-proxy.ts'
import { writeOciLayout } from './oci-layout.ts'
import { readWhole } from './read-whole.ts'
import { type Environment, type Outcome, SourceCli } from './source-cli.ts'

const ROUNDS = 10
const CONFIG = Buffer.from('default:\n  immutable: true\nchunked: false\n')
const TAG_KEY = /manifests\/app\/v\d+\/manifest\.json/
const RACERS = ['left', 'right'].map((label) => ({
  label,
  image: imageFixture({ layers: [label, 'of both'], label }),
}))

const work = await mkdtemp(join(tmpdir(), 's3lo-race-'))
let cli: SourceCli

beforeAll(async () => {
  cli = await SourceCli.open(work)
  for (const { label, image } of RACERS) await writeOciLayout(join(work, label), 'v1', image)
})
afterAll(() => rm(work, { recursive: true }))

/** One round: both processes push their image to one tag. */
interface Race {
  readonly outcomes: readonly Outcome[]
  /** The root that the tag names in the end; all of its content is there. */
  readonly digest: string
}

describe.each(cloudStores(work).map((store) => [store.name, store] as const))(
  'an immutable tag that two processes push at the same moment: %s',
  (_, store) => {
    const promise = store.isStrict
      ? 'has exactly one winner'
      : 'is warned about, and is never torn: it is the image of one that succeeded'
    it(`${promise}, in ${ROUNDS} rounds`, async () => {
      const bucket = await store.makeBucket()
      const backend = await store.open(bucket)
      await backend.put('s3lo.yaml', CONFIG)
      const proxy =
        store.endpoint === undefined ? undefined : await LoopbackProxy.start(store.endpoint)
      for (let round = 0; round < ROUNDS; round++) {
        const tag = `v${round}`
        const outcomes = await race(store, proxy, referenceIn(store, bucket, `app:${tag}`))
        const images = RACERS.map(({ image }) => image)
        const digest = await readWhole(backend, { name: 'app', tag }, images)
        if (store.isStrict) assertOneWinner({ outcomes, digest })
        else assertWarned({ outcomes, digest })
      }
      await proxy?.close()
      await backend.close?.()
      await removeBucket(store, bucket)
    })
  },
)

async function race(
  store: CloudStore,
  proxy: LoopbackProxy | undefined,
  reference: string,
): Promise<readonly Outcome[]> {
  const gate = new Gate(RACERS.length)
  if (proxy) proxy.before = gate.hold
  const env = store.env(proxy?.url)
  const outcomes = await Promise.all(
    RACERS.map(async ({ label }) => {
      const outcome = await push(label, reference, env)
      gate.leave()
      return outcome
    }),
  )
  // Both had seen no tag when both began to write it.
  if (proxy) expect(gate.held).toBe(RACERS.length)
  return outcomes
}

function push(label: string, reference: string, env: Environment): Promise<Outcome> {
  return cli.run(['push', `oci:${join(work, label)}:v1`, reference], env)
}

/** Lets the first write of a tag pass only when every racer has come that far or has ended. */
class Gate {
  /** Writes that came before the gate was open. */
  held = 0
  #missing: number
  readonly #opened = Promise.withResolvers<void>()

  constructor(racers: number) {
    this.#missing = racers
  }

  readonly hold: BeforePass = async ({ method, url, body }) => {
    if (method === 'GET' || method === 'HEAD' || !TAG_KEY.test(url + body)) return
    if (this.#missing > 0) this.held += 1
    this.leave()
    await this.#opened.promise
  }

  leave(): void {
    this.#missing -= 1
    if (this.#missing <= 0) this.#opened.resolve()
  }
}

function assertOneWinner({ outcomes, digest }: Race): void {
  const statuses = outcomes.map(({ status }) => status)
  expect(new Set(statuses), JSON.stringify(outcomes)).toEqual(new Set([0, 73]))
  expect(RACERS[statuses.indexOf(0)]?.image.root.descriptor.digest).toBe(digest)
  expect(outcomes[statuses.indexOf(73)]?.stderr).toContain('is immutable and names another image')
}

function assertWarned({ outcomes, digest }: Race): void {
  const warned = outcomes.filter(({ stderr }) => stderr.includes('note: s3://')).length
  // A race that does not show while the store is looked at is luck of a busy machine: it is said.
  if (warned === 0) process.stderr.write('a weak store passed the proof by luck\n')
  else expect(warned).toBe(outcomes.length)
  const statuses = outcomes.map(({ status }) => status)
  expect(statuses.filter((status) => status !== 0 && status !== 73)).toEqual([])
  const tagged = RACERS.findIndex(({ image }) => image.root.descriptor.digest === digest)
  expect(statuses[tagged], JSON.stringify(outcomes)).toBe(0)
}
