import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { digestOf, openMembership, openUploads } from '@s3lo/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LocalBackend } from '../src/local-backend.ts'

const WORKER = fileURLToPath(new URL('store-worker.ts', import.meta.url))
let root: string
let backend: LocalBackend

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 's3lo-uploads-'))
  backend = new LocalBackend(root)
})
afterEach(async () => {
  await backend.close()
  await rm(root, { recursive: true })
})

/** The numbers of the places that a process won. */
async function appendElsewhere(id: string): Promise<readonly number[]> {
  const child = fork(WORKER, ['append', root, id], {
    cwd: dirname(WORKER),
    execArgv: ['--conditions=s3lo-source'],
  })
  await once(child, 'message')
  const answer = once(child, 'message')
  child.send('go')
  return (await answer)[0] as readonly number[]
}

it('two processes that append at one place have exactly one winner, 50 times', async () => {
  const uploads = openUploads(backend)
  const upload = await uploads.begin('app')
  const won = await Promise.all([appendElsewhere(upload.id), appendElsewhere(upload.id)])
  expect(won.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n))
  expect(await uploads.status(upload)).toMatchObject({ offset: 500 })
  const pieces = await Array.fromAsync(backend.list(`.s3lo/uploads/${upload.id}/pieces/`))
  expect(pieces).toHaveLength(50)
})

it('an upload in pieces becomes a blob of its repository, and a wrong one leaves nothing', async () => {
  const uploads = openUploads(backend)
  const content = Buffer.from('the bytes of a layer')
  const digest = digestOf(content)
  for (const size of [content.length, 7]) {
    const upload = await uploads.begin('app')
    for (let at = 0; at < content.length; at += size) {
      await uploads.append(upload, at, Readable.from([content.subarray(at, at + size)]))
    }
    expect(await uploads.finish(upload, digest)).toEqual({ kind: 'stored' })
    expect(await openMembership(backend).find('app', digest)).toMatchObject({
      size: content.length,
    })
    expect(await Array.fromAsync(backend.list('.s3lo/uploads/'))).toEqual([])
  }
  const wrong = await uploads.begin('app')
  await uploads.append(wrong, 0, Readable.from([Buffer.from('other bytes')]))
  await expect(uploads.finish(wrong, digest)).rejects.toMatchObject({ code: 'INTEGRITY' })
  expect(await Array.fromAsync(backend.list('blobs/'))).toHaveLength(1)
})
