import { createHash } from 'node:crypto'
import { openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, verified } from '@s3lo/core'
import { recycle } from '@s3lo/core/plugin'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fileBody } from '../src/file-body.ts'
import { LocalBackend } from '../src/index.ts'

const CONTENT = createHash('shake256', { outputLength: 3_000_001 }).update('content').digest()

let root: string
let backend: LocalBackend

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 's3lo-body-'))
  backend = new LocalBackend(root)
  await backend.put('key', CONTENT)
})
afterEach(() => rm(root, { recursive: true }))

it('a consumer that recycles its chunks gets every byte in a few buffers', async () => {
  const { body } = await backend.get('key')
  const checked = verified(body, { digest: digestOf(CONTENT), size: CONTENT.length })
  const hash = createHash('sha256')
  const buffers = new Set<ArrayBufferLike>()
  for await (const chunk of checked as AsyncIterable<Buffer>) {
    hash.update(chunk)
    buffers.add(chunk.buffer)
    recycle(chunk)
  }
  expect(`sha256:${hash.digest('hex')}`).toBe(digestOf(CONTENT))
  expect(buffers.size).toBeLessThan(8)
})

it('a consumer that keeps its chunks finds each as it was', async () => {
  const { body } = await backend.get('key')
  const chunks = await Array.fromAsync(body as AsyncIterable<Buffer>)
  expect(Buffer.concat(chunks).equals(CONTENT)).toBe(true)
})

it('a body whose signal was aborted before fails with its reason, and closes its file', async () => {
  const fd = openSync(join(root, 'key'), 'r')
  const reason = new Error('enough')
  const body = fileBody(fd, {
    start: 0,
    end: CONTENT.length,
    name: 'key',
    signal: AbortSignal.abort(reason),
  })
  await expect(Array.fromAsync(body)).rejects.toBe(reason)
  expect(body.closed).toBe(true)
})
