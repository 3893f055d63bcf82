import { ImageStore } from '@s3lo/core'
import { S3loError, supports } from '@s3lo/core/plugin'
import { imageFixture, MemoryBackend } from '@s3lo/core/testing'
import { expect, it } from 'vitest'
import { NO_TOOLS } from '../src/judgement/push-policies.ts'
import { startServing } from '../src/serve.ts'
import { listNothingUnmade } from '../src/unmade-store.ts'

/** As a folder that is not there: the first put makes it. */
class UnmadeBackend extends MemoryBackend {
  #isMade = false

  override async put(...args: Parameters<MemoryBackend['put']>) {
    this.#isMade = true
    return super.put(...args)
  }

  override async *list(...args: Parameters<MemoryBackend['list']>) {
    this.#look()
    yield* super.list(...args)
  }

  override async *listPrefixes(...args: Parameters<MemoryBackend['listPrefixes']>) {
    this.#look()
    yield* super.listPrefixes(...args)
  }

  #look(): void {
    if (!this.#isMade) throw new S3loError('NOT_FOUND', 'the directory does not exist')
  }
}

/** As a bucket that is not there. */
class MissingBucket extends UnmadeBackend {
  override head(): Promise<never> {
    return Promise.reject(new S3loError('NOT_FOUND', 'the bucket does not exist'))
  }
}

async function serving(backend: MemoryBackend) {
  const host = {
    openStore: () => Promise.resolve(new ImageStore(backend)),
    validationTools: () => NO_TOOLS,
  }
  const settings = { listen: '127.0.0.1:0', readOnly: false, drain: '0s' }
  const { url, stop } = await startServing(host, 'memory://x/', settings, {})
  const ask = async (path: string, init?: RequestInit): Promise<readonly [number, unknown]> => {
    const reply = await fetch(`${url}${path}`, init)
    const text = await reply.text()
    return [reply.status, text === '' ? '' : JSON.parse(text)]
  }
  return { ask, [Symbol.asyncDispose]: stop }
}

const image = imageFixture({ layers: ['a layer'] })
const { digest } = image.root.descriptor
const unknown = (code: string) => [404, { errors: [{ code }] }]

it('a store that the first push makes is empty before it', async () => {
  await using server = await serving(new UnmadeBackend())
  const { ask } = server
  expect(await ask('/v2/_catalog')).toEqual([200, { repositories: [] }])
  expect(await ask(`/v2/app/referrers/${digest}`)).toMatchObject([200, { manifests: [] }])
  expect(await ask('/v2/app/tags/list')).toMatchObject(unknown('NAME_UNKNOWN'))
  for (const [path, code] of [
    ['manifests/v1', 'MANIFEST_UNKNOWN'],
    [`manifests/${digest}`, 'MANIFEST_UNKNOWN'],
    [`blobs/${digest}`, 'BLOB_UNKNOWN'],
  ] as const) {
    expect(await ask(`/v2/app/${path}`)).toMatchObject(unknown(code))
    expect(await ask(`/v2/app/${path}`, { method: 'DELETE' })).toMatchObject(unknown(code))
  }
  for (const [named, body] of image.content) {
    const path = `/v2/app/blobs/uploads/?digest=${named}`
    const pushed = await ask(path, { method: 'POST', body: new Uint8Array(body) })
    expect(pushed).toEqual([201, ''])
  }
  const manifest = { method: 'PUT', body: new Uint8Array(image.root.content) }
  expect(await ask('/v2/app/manifests/v1', manifest)).toEqual([201, ''])
  expect(await ask('/v2/_catalog')).toEqual([200, { repositories: ['app'] }])
})

it('a bucket that is not there is no empty one', async () => {
  await using server = await serving(new MissingBucket())
  expect((await server.ask('/v2/_catalog'))[0]).toBe(500)
  expect((await server.ask('/v2/app/tags/list'))[0]).toBe(500)
})

it('no listing that a backend lacks seems to be there', async () => {
  const backend = new UnmadeBackend()
  listNothingUnmade(backend)
  expect(supports(backend, 'listKeys')).toBe(supports(new MemoryBackend(), 'listKeys'))
  expect(await Array.fromAsync(backend.list(''))).toEqual([])
  await backend.put('a', new Uint8Array(1))
  for await (const { key } of backend.list('')) expect(key).toBe('a')
})
