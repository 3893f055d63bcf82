/**
 * Pushes as kaniko makes them, request by request: it has go-containerregistry send them, asks beforehand
 * whether it may push, and keeps layers of its builds in a repository of their own.
 */
import { digestOf } from '@s3lo/core'
import { imageFixture } from '@s3lo/core/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Reply, type ServedStore, serveMemory } from './support/served-store.ts'

const AGENT = { 'user-agent': 'kaniko/v1.24.0 go-containerregistry' }
const image = imageFixture({ layers: ['a layer of the base', 'what the build adds'] })
const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'

let served: ServedStore
beforeAll(async () => {
  served = await serveMemory()
})
afterAll(() => served[Symbol.asyncDispose]())

const ask = (method: string, path: string, headers = {}, body?: Uint8Array): Promise<Reply> =>
  served.ask(path, { method, headers: { ...AGENT, ...headers }, ...(body && { body }) })

async function statusOf(reply: Promise<Reply>): Promise<number> {
  return (await reply).status
}

/** A blob whose length is not known beforehand, since it is compressed while it is sent. */
async function stream(repository: string, body: Uint8Array): Promise<void> {
  const digest = digestOf(body)
  expect(await statusOf(ask('HEAD', `/v2/${repository}/blobs/${digest}`))).toBe(404)
  const json = { 'content-type': 'application/json' }
  const begun = await ask('POST', `/v2/${repository}/blobs/uploads/`, json)
  expect(begun.status).toBe(202)
  const chunked = { 'content-type': 'application/octet-stream', 'transfer-encoding': 'chunked' }
  const sent = await ask('PATCH', begun.headers.location ?? '', chunked, body)
  expect(sent.status).toBe(202)
  const end = `${sent.headers.location}?digest=${encodeURIComponent(digest)}`
  expect(await statusOf(ask('PUT', end))).toBe(201)
  expect(await statusOf(ask('HEAD', `/v2/${repository}/blobs/${digest}`))).toBe(200)
}

it('learns that it may push by an upload that it cancels', async () => {
  expect(await statusOf(ask('GET', '/v2/'))).toBe(200)
  const begun = await ask('POST', '/v2/team/app/blobs/uploads/', {
    'content-type': 'application/json',
  })
  expect(begun.status).toBe(202)
  expect(await statusOf(ask('DELETE', begun.headers.location ?? ''))).toBe(204)
  expect(await statusOf(ask('GET', begun.headers.location ?? ''))).toBe(404)
})

it('pushes an image, whose layers it streams', async () => {
  const accept = { accept: `${MANIFEST},application/vnd.oci.image.manifest.v1+json` }
  expect(await statusOf(ask('GET', '/v2/team/app/manifests/v1', accept))).toBe(404)
  for (const body of image.content.values()) await stream('team/app', body)
  const { content, descriptor } = image.root
  const type = { 'content-type': descriptor.mediaType }
  const put = await ask('PUT', '/v2/team/app/manifests/v1', type, content)
  expect(put.status).toBe(201)
  expect(put.headers['docker-content-digest']).toBe(descriptor.digest)
  const got = await ask('GET', '/v2/team/app/manifests/v1', accept)
  expect(got.headers['content-type']).toBe(descriptor.mediaType)
  expect(got.body.equals(content)).toBe(true)
})

it('finds its layers again, and mounts them into its cache', async () => {
  expect(await statusOf(ask('GET', '/v2/team/app/cache/manifests/0123abcd'))).toBe(404)
  for (const digest of image.content.keys()) {
    expect(await statusOf(ask('HEAD', `/v2/team/app/blobs/${digest}`))).toBe(200)
    const mount = `?from=${encodeURIComponent('team/app')}&mount=${encodeURIComponent(digest)}`
    const mounted = ask('POST', `/v2/team/app/cache/blobs/uploads/${mount}`, {
      'content-type': 'application/json',
    })
    expect(await statusOf(mounted)).toBe(201)
  }
  const { content, descriptor } = image.root
  const type = { 'content-type': descriptor.mediaType }
  const put = ask('PUT', '/v2/team/app/cache/manifests/0123abcd', type, content)
  expect(await statusOf(put)).toBe(201)
})
