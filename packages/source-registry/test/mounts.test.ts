import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copy } from '@s3lo/core'
import { CacheFile } from '@s3lo/core/plugin'
import { FixtureSource, imageFixture } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BlobPlaces } from '../src/blob-places.ts'
import { openTarget } from '../src/open-registry.ts'
import { blobOf, noise, opener } from './images.ts'
import { MemoryRegistry, type MemoryRegistryOptions, refuse } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const LARGE = blobOf(noise(4500))
const IMAGE = imageFixture({ layers: ['x'.repeat(50_000), 'y'.repeat(50_000)] })
/** Its layers and its config. */
const BLOBS = 3

let folder: string
let server: MemoryRegistry | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-mounts-'))
})
afterEach(async () => {
  await server?.stop()
  await rm(folder, { recursive: true })
})

async function start(options: MemoryRegistryOptions): Promise<MemoryRegistry> {
  return (server = await MemoryRegistry.start({ isolated: true, ...options }))
}

/** As another process has it: nothing is left of it but the user's cache. */
const newEnvironment = () => ({ XDG_CACHE_HOME: folder, LOCALAPPDATA: folder, HOME: folder })

/** Copies the image, and tells what that cost: requests, and bytes that were sent. */
async function copyTo(
  registry: MemoryRegistry,
  repository: string,
  env = newEnvironment(),
): Promise<{ readonly requests: readonly string[]; readonly bytes: number }> {
  const { target, reference } = await openTarget(`${registry.host}/${repository}:v1`, { env })
  const [before, sent] = [registry.requests.length, registry.received]
  const source = new FixtureSource({ 'app:v1': IMAGE })
  await copy({ source, reference: { name: 'app', tag: 'v1' } }, { target, reference })
  await target.close?.()
  return { requests: registry.requests.slice(before), bytes: registry.received - sent }
}

const count = (requests: readonly string[], line: RegExp): number =>
  requests.filter((request) => line.test(request)).length

describe('the second copy to a registry', () => {
  it.each([
    ['in another process', newEnvironment],
    ['in the same process', () => shared],
  ])('mounts what the first has sent, %s', async (_title, environment) => {
    const registry = await start({ mounts: 'named' })
    const first = await copyTo(registry, 'team/one', environment())
    const second = await copyTo(registry, 'team/two', environment())
    const manifest = IMAGE.root.content.byteLength
    expect([first.bytes > 2 * manifest, second.bytes]).toEqual([true, manifest])
    expect(count(second.requests, /^POST .*mount=.*from=team%2Fone/)).toBe(BLOBS)
    expect(count(second.requests, /^(PUT|PATCH) .*uploads/)).toBe(0)
    // A look-up and a mount for each blob; the tag by HEAD and GET, and then the manifest.
    expect(second.requests).toHaveLength(2 * BLOBS + 3)
    expect(second.requests.length).toBeLessThan(first.requests.length)
  })
  const shared = newEnvironment()

  it('mounts what anybody has sent, where the registry looks by itself', async () => {
    const registry = await start({ mounts: 'any' })
    await copyTo(registry, 'team/one')
    await rm(join(folder, 's3lo'), { recursive: true })
    const { requests, bytes } = await copyTo(registry, 'team/two')
    expect(bytes).toBe(IMAGE.root.content.byteLength)
    expect(count(requests, /^POST .*mount=(?!.*from=)/)).toBe(BLOBS)
  })

  it('costs no more where the registry mounts nothing that is not named', async () => {
    const registry = await start({ mounts: 'named' })
    const { requests } = await copyTo(registry, 'team/one')
    expect(count(requests, /^POST/)).toBe(BLOBS)
    expect(registry.uploads.size).toBe(0)
  })

  it('asks a registry that refuses such mounts once', async () => {
    const registry = await start({ mounts: 'refused' })
    const repository = openRepository(registry.host, 'team/app')
    for (const text of ['a', 'b', 'c']) {
      await repository.put(blobOf(text).descriptor, opener(Buffer.from(text)))
    }
    expect(count(registry.requests, /^POST .*mount=/)).toBe(1)
    await repository.close()
  })
})

describe('a wrong guess', () => {
  const { digest } = LARGE.descriptor

  it.each([
    ['is answered with an upload', 0, 0],
    ['is refused with 400', 400, 1],
    ['is refused with 403', 403, 1],
    ['is refused with 404', 404, 1],
    ['is answered with 500', 500, 1],
  ])('that %s costs at most one request, and is forgotten', async (_title, status, extra) => {
    const registry = await start({ mounts: 'named' })
    const places = new BlobPlaces()
    places.note(registry.host, digest, 'team/gone')
    const repository = openRepository(registry.host, 'team/app', { places })
    registry.script = (request, response) => {
      if (status === 0 || !request.url?.includes('from=')) return false
      refuse(response, status, 'DENIED')
      return true
    }
    expect(await repository.mount(LARGE.descriptor, new FixtureSource({}))).toBe(false)
    await repository.put(LARGE.descriptor, opener(LARGE.content))
    expect(registry.blobs.has(digest)).toBe(true)
    expect(count(registry.requests, /^POST/)).toBe(1 + extra)
    expect(await places.find(registry.host, digest, 'team/app')).toBeUndefined()
    expect(await places.find(registry.host, digest, 'else')).toBe('team/app')
    expect(registry.uploads.size).toBe(0)
    await repository.close()
  })
})

describe('what is known of blobs', () => {
  const digestOf = (i: number): string => `sha256:${i.toString(16).padStart(64, '0')}`
  const fileOf = () => new CacheFile(newEnvironment(), 'places.json', 4 * 1024 * 1024)

  it('is kept of the newest, up to a bound, by all processes together', async () => {
    const [one, two] = [new BlobPlaces(fileOf()), new BlobPlaces(fileOf())]
    for (let i = 0; i < 3000; i += 1) {
      one.note('r', digestOf(i), 'team/one')
      two.note('r', digestOf(i + 2000), 'team/two')
    }
    await Promise.all([one.save(), two.save()])
    await one.save()
    two.note('r', digestOf(9999), 'team/two')
    one.note('r', digestOf(9998), 'team/one')
    await two.save()
    await one.save()
    const read = new BlobPlaces(fileOf())
    expect(await read.find('r', digestOf(9999), 'x')).toBe('team/two')
    expect(await read.find('r', digestOf(9998), 'x')).toBe('team/one')
    const [name = ''] = await readdir(join(folder, 's3lo'))
    const text = await readFile(join(folder, 's3lo', name), 'utf8')
    expect((JSON.parse(text) as unknown[]).length).toBeLessThanOrEqual(4000)
    expect((await stat(join(folder, 's3lo', name))).mode & 0o077).toBe(0)
  })

  it.each([
    '',
    '{',
    '[]',
    '[1,[2],["r sha256:x",["a"]]]',
    `[["r ${digestOf(1)}",["../x"]]]`,
    'null',
  ])('is nothing where the file has %j', async (text) => {
    await fileOf().write([])
    await writeFile(join(folder, 's3lo', 'places.json'), text)
    const places = new BlobPlaces(fileOf())
    expect(await places.find('r', digestOf(1), 'x')).toBeUndefined()
    places.note('r', digestOf(1), 'team/app')
    await places.save()
    expect(await new BlobPlaces(fileOf()).find('r', digestOf(1), 'x')).toBe('team/app')
  })

  it('is lost in silence where the folder cannot be written', async () => {
    await writeFile(join(folder, 's3lo'), 'a file')
    const places = new BlobPlaces(fileOf())
    places.note('r', digestOf(1), 'team/app')
    await places.save()
    expect(await places.find('r', digestOf(1), 'x')).toBe('team/app')
  })
})
