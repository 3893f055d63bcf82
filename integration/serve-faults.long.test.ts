/**
 * `s3lo serve` over a store whose requests fail: every request of a push and of a pull, in every way that
 * a proxy before the store can spoil it. Clients get what they asked for, an error of the specification
 * or a connection that is cut, and never a wrong byte. What they try again then, ends well.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { gcsBackend } from '@s3lo/backend-gcs'
import type { StorageBackend } from '@s3lo/core'
import { FAULT_KINDS, type FaultKind, FaultProxy, imageFixture } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ImagePush, pullImage, StoreFault } from './fault-client.ts'
import { serveStore } from './served-store.ts'

const DOUBLE = join(import.meta.dirname, '../packages/backend-gcs/test/gcs-double-main.ts')
const PART_BYTES = 256 * 1024
/** Sent in two chunks, of which the store takes each in one request. */
const LAYER_BYTES = 300_000
/** After so many milliseconds a silent store is given up; a busy machine may take longer for others. */
const SILENCE_MS = 400
const PATIENCE_MS = 60_000

let folder: string
let double: ChildProcess
let endpoint: string
let proxy: FaultProxy

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-serve-faults-'))
  // It reports requests that have another bit, which are the point of the test.
  const stdio = ['ignore', 'pipe', 'ignore'] as const
  const started = spawn(process.execPath, [DOUBLE, '0', folder], { stdio: [...stdio] })
  double = started
  for await (const line of createInterface(started.stdout)) {
    endpoint = line.replace('listening on ', '')
    break
  }
  const made = await fetch(`${endpoint}/storage/v1/b?project=s3lo-test`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bucket' }),
  })
  expect(made.status).toBe(200)
  proxy = await FaultProxy.start(endpoint)
}, 60_000)
afterAll(async () => {
  await proxy.close()
  const ended = once(double, 'close')
  double.kill('SIGTERM')
  await ended
  await rm(folder, { recursive: true })
})

/** One bucket, whose requests are sent once. */
function open(origin: string, stallMs = PATIENCE_MS): StorageBackend {
  const at = { origin, isGoogle: true, isAnonymous: true, universe: 'googleapis.com' }
  const access = { identity: 'tester', headers: () => Promise.resolve({}) }
  const retry = { delay: () => Promise.resolve(), stallMs, attempts: 1 }
  return gcsBackend('bucket', at, access, { partBytes: PART_BYTES, retry })
}

interface Round {
  readonly address: string
  /** Of the server that the client asks the second time. */
  readonly again: string
}

/** A server through the proxy that knows nothing yet. One that gave up silence is not asked again. */
async function round(kind: FaultKind, run: (round: Round) => Promise<void>): Promise<void> {
  const isSilent = kind === 'silence'
  const through = open(proxy.url, isSilent ? SILENCE_MS : PATIENCE_MS)
  await using served = await serveStore(() => Promise.resolve(through))
  await using other = await serveStore(() => Promise.resolve(open(endpoint)))
  await run({ address: served.address, again: isSilent ? other.address : served.address })
}

function imageOf(label: string) {
  return imageFixture({ layers: [Buffer.alloc(LAYER_BYTES, `${label} `)], label })
}

/** Spoils the first request, the second and so on, as long as there is one. Gives how many there were. */
async function spoilEach(
  kind: FaultKind,
  isLasting: boolean,
  run: (nth: number) => Promise<void>,
): Promise<number> {
  for (let nth = 1; ; nth++) {
    if (isLasting) proxy.spoilFrom(nth, kind)
    else proxy.spoil(nth, kind)
    try {
      await run(nth)
    } catch (error) {
      throw new Error(`${kind} of request ${nth}: ${String(error)}`, { cause: error })
    }
    if (proxy.count < nth) return nth - 1
  }
}

/** The statuses of requests that can be tried again as they are. */
const FAULTS: ReadonlySet<unknown> = new Set([500, 503, 'cut'])

/** Whether it went well; throws for anything but an error that leaves the client the request. */
async function endsWell(work: Promise<void>, kind: FaultKind): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (!(error instanceof StoreFault)) throw error
    // The name of what is looked for may be the one that has another bit.
    if (FAULTS.has(error.status) || (kind === 'bit-flip' && error.status === 404)) return false
    throw error
  }
}

/** What differs behind a backend: nothing was done, something was, or what comes is not what was sent. */
const BY_DAY: readonly FaultKind[] = ['503', 'reset-after', 'bit-flip', 'bit-flip-up', 'cut']
const kinds = process.env['S3LO_TEST_NIGHTLY'] === undefined ? BY_DAY : FAULT_KINDS
// One that fails from some request on fails as often as it is asked: how, makes no difference.
const MATRIX = kinds.map((kind) => [kind, false] as const)
describe.each([...MATRIX, ['503', true] as const])('%s, lasting: %s', (kind, isLasting) => {
  it('a push ends well or in an error, and ends well when it is tried again', async () => {
    let succeeded = 0
    const requests = await spoilEach(kind, isLasting, async (nth) => {
      const name = `push/${kind}-${isLasting}/${nth}`
      const push = new ImagePush(name, imageOf(name))
      await round(kind, async ({ address, again }) => {
        if (await endsWell(push.run(address), kind)) succeeded += 1
        const { count } = proxy
        proxy.spoil()
        // What is there is whole.
        if (await push.isPublished(again)) await pullImage(again, name, push.image)
        await push.run(again)
        await pullImage(again, name, push.image)
        proxy.count = count
      })
    })
    report(`push: ${kind}`, { requests, succeeded })
    expect(requests).toBeGreaterThan(10)
  })

  it('a pull gives the right bytes or an error, and the right bytes when it is tried again', async () => {
    const name = `pull/${kind}-${isLasting}`
    const push = new ImagePush(name, imageOf(name))
    proxy.spoil()
    await round('503', ({ address }) => push.run(address))
    let succeeded = 0
    const requests = await spoilEach(kind, isLasting, () =>
      round(kind, async ({ address, again }) => {
        if (await endsWell(pullImage(address, name, push.image), kind)) succeeded += 1
        const { count } = proxy
        proxy.spoil()
        await pullImage(again, name, push.image)
        proxy.count = count
      }),
    )
    report(`pull: ${kind}`, { requests, succeeded })
    expect(requests).toBeGreaterThan(2)
  })
})

function report(title: string, counts: { readonly requests: number; readonly succeeded: number }) {
  process.stderr.write(
    // The last run had no request left to spoil.
    `serve, ${title} of each of ${counts.requests} requests, ${counts.succeeded - 1} went well all the same\n`,
  )
}
