import { assertCompatible } from '@s3lo/core/plugin'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { registry } from '../src/index.ts'
import plugin from '../src/plugin.ts'
import { codeOf } from './code-of.ts'
import { IMAGE } from './images.ts'
import { MemoryRegistry } from './memory-registry.ts'

let server: MemoryRegistry
beforeAll(async () => {
  server = await MemoryRegistry.start()
})
afterAll(() => server.stop())

it('offers registries, which can be read and written', async () => {
  assertCompatible(plugin)
  expect(Object.keys(plugin.sources)).toEqual(['docker'])
  const { openSource, openTarget } = await plugin.sources.docker.load()
  expect([typeof openSource, typeof openTarget]).toEqual(['function', 'function'])
})

it('asks a registry on this machine without TLS', async () => {
  server.addManifest('app', 'v1', IMAGE.content, IMAGE.descriptor.mediaType)
  const { source, reference } = await registry.openSource(`//${server.host}/app:v1`, { env: {} })
  if (source.kind !== 'random-access') throw new Error('a registry is no stream')
  expect(reference).toEqual({ name: 'app', tag: 'v1' })
  expect(source.name).toBe(`${server.host}/app`)
  expect(await source.resolve(reference)).toEqual(IMAGE.descriptor)
  await source.close?.()
})

it('goes through the proxy that the environment names, but not to this machine', async () => {
  const env = { HTTP_PROXY: `http://${server.host}`, HTTPS_PROXY: 'http://127.0.0.1:1' }
  server.requests.length = 0
  server.script = (request, response) => {
    response.writeHead(404, { 'x-host': request.headers.host ?? '' }).end()
    return true
  }
  for (const name of ['registry.invalid/app:v1', `${server.host}/app:v1`]) {
    const { source, reference } = await registry.openSource(name, { env, plainHttp: true })
    if (source.kind !== 'random-access') throw new Error('a registry is no stream')
    expect(await codeOf(source.resolve(reference))).toBe('NOT_FOUND')
    await source.close?.()
  }
  expect(server.requests).toEqual([
    'HEAD http://registry.invalid/v2/app/manifests/v1',
    'GET http://registry.invalid/v2/app/manifests/v1',
    'HEAD /v2/app/manifests/v1',
    'GET /v2/app/manifests/v1',
  ])
})
