import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHost, type ImageStore, type ManifestDocument } from '@s3lo/core'
import localPlugin from '@s3lo/backend-local/plugin'
import { LineWorker } from './line-worker.ts'
import { crashingHost, numberedImage } from './push-worker.ts'

const WHOLE_LAYERS = 'chunked: false\n'
const OLD = 1
const NEW = 2
const isNightly = process.env['S3LO_TEST_NIGHTLY'] !== undefined
const RANDOM_KILLS = isNightly ? 200 : 50
const RACES = isNightly ? 200 : 100

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 's3lo-crash-'))
  // Images keep the digests of their sources; kills.integration.ts does the same with chunks.
  await writeFile(join(root, 's3lo.yaml'), WHOLE_LAYERS)
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** A process that pushes. */
class Worker extends LineWorker {
  constructor(killAt = 0) {
    super('push-worker.ts', [String(killAt)])
  }

  push(tag: string, image: number): void {
    this.send(`${root}\t${tag}\t${image}`)
  }
}

async function openStore(): Promise<ImageStore> {
  return createHost({ plugins: [localPlugin] }).openStore(`local://${root}//`)
}

/** The tag as it is now, after reading everything that it names, each byte verified. */
async function readWhole(tag: string): Promise<ManifestDocument> {
  const store = await openStore()
  const document = await store.read({ name: 'app', tag })
  const fixture = [OLD, NEW]
    .map(numberedImage)
    .find((image) => image.root.descriptor.digest === document.descriptor.digest)
  for (const [digest, bytes] of fixture?.content ?? []) {
    const descriptor = { mediaType: 'x', digest, size: bytes.byteLength }
    for await (const _ of await store.fetch(descriptor));
  }
  return document
}

async function assertWholeAndRepairable(): Promise<void> {
  const digests = [OLD, NEW].map((n) => numberedImage(n).root.descriptor.digest)
  expect(digests).toContain((await readWhole('v1')).descriptor.digest)
  await crashingHost(0).push(root, 'v1', NEW)
  expect((await readWhole('v1')).descriptor.digest).toBe(digests[1])
}

describe('a push that is killed', () => {
  it('at any storage call leaves the old image or the new one, whole', async () => {
    await crashingHost(0).push(root, 'v1', OLD)
    let call = 1
    // Until a push needs no more calls than it is let live for.
    for (let answer: string | undefined; answer === undefined; call++) {
      const worker = new Worker(call)
      await worker.line()
      worker.push('v1', NEW)
      answer = await worker.line()
      await worker.end()
      await assertWholeAndRepairable()
      await crashingHost(0).push(root, 'v1', OLD)
      await rm(join(root, 'blobs'), { recursive: true })
      await crashingHost(0).push(root, 'v1', OLD)
    }
    expect(call).toBeGreaterThan(10)
  })

  it(`at ${RANDOM_KILLS} random times leaves the old image or the new one, whole`, async () => {
    await crashingHost(0).push(root, 'v1', OLD)
    const started = performance.now()
    await crashingHost(0).push(join(root, 'timed'), 'v1', NEW)
    const duration = performance.now() - started
    let cut = 0
    for (let round = 0; round < RANDOM_KILLS; round++) {
      const worker = new Worker()
      await worker.line()
      worker.push('v1', NEW)
      // Spread over the push and a little beyond it: where it dies is the point of the test.
      const delay = (duration * 1.2 * ((round * 73) % RANDOM_KILLS)) / RANDOM_KILLS
      const killer = setTimeout(() => worker.process.kill('SIGKILL'), delay)
      if ((await worker.line()) === undefined) cut++
      clearTimeout(killer)
      await worker.end()
      await assertWholeAndRepairable()
      await rm(join(root, 'blobs'), { recursive: true })
      await crashingHost(0).push(root, 'v1', OLD)
    }
    expect(cut).toBeGreaterThan(RANDOM_KILLS / 10)
  })

  it('never makes the next push trust a truncated blob', async () => {
    await crashingHost(0).push(root, 'v1', NEW)
    const blobs = join(root, 'blobs/sha256')
    for (const name of await readdir(blobs)) await truncate(join(blobs, name), 100)
    await expect(readWhole('v1')).rejects.toMatchObject({ code: 'INTEGRITY' })
    await crashingHost(0).push(root, 'v1', NEW)
    await readWhole('v1')
  })
})

describe('two processes that push to one immutable tag', () => {
  it(`${RACES} times: exactly one wins each time`, async () => {
    await writeFile(join(root, 's3lo.yaml'), `default: {immutable: true}\n${WHOLE_LAYERS}`)
    const workers = [new Worker(), new Worker()]
    try {
      await Promise.all(workers.map((worker) => worker.line()))
      for (let round = 0; round < RACES; round++) {
        for (const [i, worker] of workers.entries()) worker.push(`r${round}`, [OLD, NEW][i] ?? OLD)
        const answers = await Promise.all(workers.map((worker) => worker.line()))
        const words = answers.map((answer) => answer?.split(' ')[0])
        expect(new Set(words)).toEqual(new Set(['CONFLICT', 'ok']))
        const winner = answers[0]?.startsWith('ok') ? OLD : NEW
        const { descriptor } = await readWhole(`r${round}`)
        expect(descriptor.digest).toBe(numberedImage(winner).root.descriptor.digest)
      }
    } finally {
      await Promise.all(workers.map((worker) => worker.end()))
    }
  })
})
