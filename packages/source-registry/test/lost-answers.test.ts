import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import { blobOf, IMAGE, LAYER, noise, opener } from './images.ts'
import { MemoryRegistry, type Script } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
const V1 = { name: REPOSITORY, tag: 'v1' }
const LARGE = blobOf(noise(4500))
let server: MemoryRegistry
let repository: RegistryRepository

beforeEach(async () => {
  server = await MemoryRegistry.start({ conditions: true })
  repository = openRepository(server.host, REPOSITORY, { partBytes: 1000 })
})
afterEach(async () => {
  await repository.close()
  await server.stop()
})

/** The first request that matches takes effect, and its answer never arrives. */
function losing(line: RegExp): Script {
  return (request, response) => {
    if (!line.test(`${request.method} ${request.url}`)) return false
    server.script = () => false
    response.writeHead = () => response
    response.end = (() => {
      request.socket.destroy()
      return response
    }) as typeof response.end
    return false
  }
}

/** Answers what matches with a status of success alone, or with a page, once or always. */
function pretending(line: RegExp, headers: Record<string, string>, isOnce = false): Script {
  return (request, response) => {
    if (!line.test(`${request.method} ${request.url}`)) return false
    if (isOnce) server.script = () => false
    response.writeHead(200, headers).end()
    return true
  }
}

const PAGE = { 'content-type': 'text/html; charset=utf-8' }

describe('a lost answer', () => {
  it.each([
    ['the start of an upload', /^POST/],
    ['a chunk', /^PATCH/],
    ['the end of an upload', /^PUT .*uploads/],
  ])('to %s loses nothing', async (_title, line) => {
    server.script = losing(line)
    for (const { descriptor, content } of [LARGE, LAYER]) {
      await repository.put(descriptor, opener(content))
      expect(server.blobs.get(descriptor.digest)).toEqual(Buffer.from(content))
    }
  })

  it('to a blob that is sent in one request is looked up, and the blob is not sent again', async () => {
    server.script = losing(/^PUT .*uploads/)
    await repository.put(LAYER.descriptor, opener(LAYER.content))
    expect(server.requests.filter((line) => line.startsWith('PUT'))).toHaveLength(1)
  })

  it('to a tag that shall only be created is no conflict with itself', async () => {
    server.script = losing(/^PUT .*manifests/)
    await repository.tag(IMAGE, V1, { createOnly: true })
    expect(server.manifests.has('team/app/v1')).toBe(true)
  })

  it('does not hide that another one was faster', async () => {
    const other = blobOf('{"schemaVersion":2,"manifests":[]}')
    server.script = (request, response) => {
      if (request.method !== 'PUT') return false
      server.script = () => false
      server.addManifest(REPOSITORY, 'v1', other.content, 'application/vnd.oci.image.index.v1+json')
      response.destroy()
      return true
    }
    expect(await codeOf(repository.tag(IMAGE, V1, { createOnly: true }))).toBe('CONFLICT')
  })

  it('to a deletion is no missing tag', async () => {
    await repository.tag(IMAGE, V1)
    server.script = losing(/^DELETE/)
    await repository.delete(V1)
    expect(server.manifests.has('team/app/v1')).toBe(false)
    expect(await codeOf(repository.delete(V1))).toBe('NOT_FOUND')
  })
})

describe('an answer that only its status says to be one', () => {
  it.each([
    ['a page', PAGE],
    ['nothing', {}],
  ])('publishes no tag: %s', async (_title, headers) => {
    server.script = pretending(/^PUT .*manifests/, headers)
    expect(await codeOf(repository.tag(IMAGE, V1))).toBe('UNAVAILABLE')
  })

  it('to a tag counts where the registry has it all the same', async () => {
    server.script = (request) => {
      if (request.method !== 'PUT') return false
      server.script = pretending(/^PUT/, {})
      return false
    }
    await repository.tag(IMAGE, V1)
    await repository.tag(IMAGE, V1)
  })

  it.each([
    ['a look-up', /^HEAD/, PAGE],
    ['the start of an upload', /^POST/, PAGE],
    ['the start of an upload, with nothing', /^POST/, {}],
    ['a chunk', /^PATCH/, PAGE],
    ['a chunk, with nothing', /^PATCH/, {}],
    ['the end of an upload', /^PUT/, PAGE],
    ['the end of an upload, with nothing', /^PUT/, {}],
  ])('keeps no blob from being stored: %s', async (_title, line, headers) => {
    server.script = pretending(line, headers, true)
    await repository.put(LARGE.descriptor, opener(LARGE.content))
    expect(server.blobs.get(LARGE.descriptor.digest)).toEqual(LARGE.content)
  })
})
