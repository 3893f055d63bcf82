/** Bytes of an upload that are damaged between the server and its store: no fault of the client. */
import { Readable } from 'node:stream'
import { digestOf } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { FaultyBackend, MemoryBackend } from '@s3lo/core/testing'
import { expect, it } from 'vitest'
import { serveBackend, type ServedStore } from './support/served-store.ts'

const blob = Buffer.from('the bytes of a blob')
const digest = digestOf(blob)
const UPLOADS = '/v2/app/blobs/uploads/'

async function begin(served: ServedStore, first: Uint8Array): Promise<string> {
  const { headers } = await served.ask(UPLOADS, { method: 'POST' })
  const location = headers.location ?? ''
  const reply = await served.ask(location, { method: 'PATCH', body: first })
  expect(reply.status).toBe(202)
  return location
}

it('on their way to the store: the client may try again, and the upload continues', async () => {
  const faulty = new FaultyBackend(new MemoryBackend())
  await using served = await serveBackend(faulty)
  const location = await begin(served, blob.subarray(0, 5))
  const damage = new S3loError('INTEGRITY', 'damaged on its way', { contentFault: false })
  faulty.faults = {
    before({ method }) {
      if (method === 'put') throw damage
    },
  }
  const rest = { method: 'PATCH', body: blob.subarray(5) }
  const whole = { method: 'POST', body: blob }
  for (const failed of [
    await served.ask(location, rest),
    await served.ask(`${location}?digest=${digest}`, { ...rest, method: 'PUT' }),
    await served.ask(`${UPLOADS}?digest=${digest}`, whole),
  ]) {
    expect([failed.status, failed.headers['retry-after']]).toEqual([503, '5'])
  }
  faulty.faults = {}
  expect((await served.ask(location)).headers['range']).toBe('0-4')
  expect((await served.ask(location, rest)).status).toBe(202)
  expect((await served.ask(`${location}?digest=${digest}`, { method: 'PUT' })).status).toBe(201)
})

/** The first read of a piece of an upload has another bit. */
class OnceDamaged extends MemoryBackend {
  damaged = 0

  override async get(...args: Parameters<MemoryBackend['get']>) {
    const found = await super.get(...args)
    if (!args[0].includes('/pieces/') || this.damaged > 0) return found
    this.damaged += 1
    const bytes = Buffer.concat(await Array.fromAsync(found.body as AsyncIterable<Buffer>))
    bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0)
    return { ...found, body: Readable.from([bytes]) }
  }
}

it('on their way from the store: they are read again before the upload is given up', async () => {
  const backend = new OnceDamaged()
  await using served = await serveBackend(backend)
  const location = await begin(served, blob.subarray(0, 5))
  await served.ask(location, { method: 'PATCH', body: blob.subarray(5) })
  const ended = await served.ask(`${location}?digest=${digest}`, { method: 'PUT' })
  expect([ended.status, backend.damaged]).toEqual([201, 1])
  expect((await served.ask(`/v2/app/blobs/${digest}`)).body.equals(blob)).toBe(true)
})
