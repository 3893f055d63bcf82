import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copy, isS3loError, MEDIA_TYPE, type TransportOptions } from '@s3lo/core'
import { FAULT_KINDS, FaultProxy } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { registry, RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import { blobOf, bytesOf, CONFIG, documentOf, listOf, opener, referrerOf } from './images.ts'
import { openRepository } from './open-repository.ts'
import { type RegistryServers, requiredServers } from './registry-server.ts'

const servers = requiredServers()
if (servers === undefined) it.skip('registries are not there', () => {})
else testAgainst(servers)

const EMPTY = blobOf('{}', MEDIA_TYPE.ociEmpty)

/** Kinds of answers that may end a run, since what is read is another content. */
const SPOILS: ReadonlySet<string> = new Set([
  'truncated',
  'wrong-length',
  'bit-flip',
  'bit-flip-up',
  'page',
  'nothing',
  'cut',
])

/** A layer that goes in several chunks, and one in a single request. */
function makeImage(bytes: number) {
  const layers = [blobOf(randomBytes(bytes)), blobOf(randomBytes(100), MEDIA_TYPE.ociLayerZstd)]
  const config = CONFIG.descriptor
  const image = documentOf({ config, layers: layers.map(({ descriptor }) => descriptor) })
  const manifests = [{ ...image.descriptor, platform: { os: 'linux', architecture: 'amd64' } }]
  const index = documentOf({ manifests }, MEDIA_TYPE.ociIndex)
  return {
    blobs: [...layers, CONFIG],
    image,
    index,
    referrer: referrerOf(image.descriptor, 'a/sbom'),
  }
}

type Image = ReturnType<typeof makeImage>

async function pushImage(target: RegistryRepository, image: Image, tag: string): Promise<void> {
  for (const { descriptor, content } of image.blobs) {
    if (!(await target.has(descriptor))) await target.put(descriptor, opener(content))
  }
  const { descriptor, content } = image.image
  await target.put(descriptor, opener(content))
  await target.attach(
    image.referrer,
    { repository: '', subject: descriptor },
    opener(EMPTY.content),
  )
  await target.tag(image.index, { name: '', tag })
}

async function expectImage(source: RegistryRepository, image: Image, tag: string): Promise<void> {
  const found = await source.resolve({ name: '', tag })
  expect(found).toEqual(image.index.descriptor)
  for (const { descriptor, content } of [image.index, image.image, ...image.blobs]) {
    // Compared as a whole: a matcher would look at millions of bytes one by one.
    expect((await bytesOf(await source.fetch(descriptor))).equals(content)).toBe(true)
  }
  const referrers = await listOf(source.referrers('', image.image.descriptor))
  expect(referrers.map(({ digest }) => digest)).toEqual([image.referrer.descriptor.digest])
}

function testAgainst(servers: RegistryServers): void {
  let folder = ''
  const image = makeImage(20_000_000)

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 's3lo-registry-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  /** Opens a repository as the command line does, with this password where there is one. */
  async function open(
    host: string,
    name: string,
    password: string | undefined,
    options: Partial<TransportOptions> = {},
  ): Promise<RegistryRepository> {
    const auth = Buffer.from(`${servers.user}:${password}`).toString('base64')
    const auths = password === undefined ? {} : { [host]: { auth } }
    await writeFile(join(folder, 'config.json'), JSON.stringify({ auths }))
    const env = { DOCKER_CONFIG: folder, HOME: folder }
    const { target } = await registry.openTarget(`//${host}/${name}`, { env, ...options })
    if (!(target instanceof RegistryRepository)) throw new Error('not a repository')
    return target
  }

  /** As {@link open}, to read only. */
  async function openToRead(
    ...[host, name, password, options]: Parameters<typeof open>
  ): Promise<RegistryRepository> {
    await (await open(host, name, password, options)).close()
    const env = { DOCKER_CONFIG: folder, HOME: folder }
    const { source } = await registry.openSource(`//${host}/${name}`, { env, ...options })
    if (!(source instanceof RegistryRepository)) throw new Error('not a repository')
    return source
  }

  describe.each([
    ['open', servers.open, {}],
    ['with passwords', servers.htpasswd, {}],
    ['with tokens', servers.token, {}],
    ['with TLS and passwords', servers.tls, { tlsCa: servers.ca }],
  ])('a registry %s', (_mode, host, options) => {
    const name = `${randomUUID()}/app`
    const password = host === servers.open ? undefined : servers.password

    it('gives back the image that it was given', async () => {
      const repository = await open(host, name, password, options)
      await pushImage(repository, image, 'v1')
      await expectImage(repository, image, 'v1')
      expect(await listOf(repository.tags(name))).toContain('v1')
      const [layer] = image.blobs
      const range = { start: 9_999_990, end: 10_000_010 }
      const part = await repository.fetch(layer?.descriptor ?? CONFIG.descriptor, { range })
      expect(await bytesOf(part)).toEqual(layer?.content.subarray(range.start, range.end))
      await repository.close()
    })

    it('copies an image with its referrers to another repository, without moving a blob', async () => {
      const source = await openToRead(host, name, password, options)
      const target = await open(host, `${name}-copy`, password, options)
      const result = await copy(
        { source, reference: { name, tag: 'v1' } },
        { target, reference: { name: `${name}-copy`, tag: 'v2' } },
      )
      expect(result.digest).toBe(image.index.descriptor.digest)
      expect(result.referrers_copied).toBe(1)
      await expectImage(target, image, 'v2')
      await Promise.all([source.close(), target.close()])
    })

    it('deletes what it is told to', async () => {
      const repository = await open(host, name, password, options)
      const { digest } = image.index.descriptor
      await repository.delete({ name, digest })
      expect(await codeOf(repository.resolve({ name, tag: 'v1' }))).toBe('NOT_FOUND')
      expect(await codeOf(repository.delete({ name, digest }))).toBe('NOT_FOUND')
      await repository.close()
    })

    it.runIf(password)('refuses a wrong password, and none', async () => {
      for (const wrong of ['wrong', undefined]) {
        const repository = await open(host, name, wrong, options)
        const failure: unknown = await repository
          .resolve({ name, tag: 'v1' })
          .catch((error: unknown) => error)
        expect(isS3loError(failure, 'UNAUTHORIZED')).toBe(true)
        expect(String(failure)).toContain(host)
        await repository.close()
      }
    })
  })

  it('trusts no certificate without an authority', async () => {
    const repository = await open(servers.tls, 'a/b', undefined, {
      tlsCa: join(folder, 'none.pem'),
    })
      .then(() => 'opened')
      .catch((error: unknown) => (isS3loError(error) ? error.code : ''))
    expect(repository).toBe('NOT_FOUND')
    // One that is none at all vouches for no server.
    const pem = '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'
    await writeFile(join(folder, 'other.pem'), pem)
    const untrusting = await open(servers.tls, 'a/b', undefined, {
      tlsCa: join(folder, 'other.pem'),
    })
    expect(await codeOf(untrusting.resolve({ name: 'a/b', tag: 'x' }))).toBe('UNSUPPORTED')
    await untrusting.close()
  })

  it('stores nothing of a blob that is not what was announced', async () => {
    const repository = await open(servers.open, randomUUID(), undefined)
    const { descriptor, content } = blobOf(randomBytes(9_000_000))
    const wrong = Buffer.from(content)
    wrong[5] = (wrong[5] ?? 0) ^ 1
    expect(await codeOf(repository.put(descriptor, opener(wrong)))).toBe('INTEGRITY')
    expect(await repository.has(descriptor)).toBe(false)
    await repository.close()
  })

  it('finds out the digest of content that comes without one', async () => {
    const repository = await open(servers.open, randomUUID(), undefined)
    const { descriptor, content } = blobOf(randomBytes(9_000_000))
    const stream = await opener(content)()
    const found = await repository.ingest(stream, content.byteLength, descriptor.mediaType)
    expect(found).toEqual(descriptor)
    expect((await bytesOf(await repository.fetch(descriptor))).equals(content)).toBe(true)
    await repository.close()
  })

  describe('behind a network that fails', () => {
    const small = makeImage(2500)
    let proxy: FaultProxy
    let spoilt = 0
    let failed = 0
    beforeAll(async () => {
      proxy = await FaultProxy.start(`http://${servers.open}`)
    })
    afterAll(async () => {
      const kinds = FAULT_KINDS.length
      process.stderr.write(
        `${spoilt} requests spoilt in ${kinds} ways: ${failed} runs failed with an error of ours, all converged\n`,
      )
      await proxy.close()
    })

    const through = (name: string): RegistryRepository =>
      openRepository(new URL(proxy.url).host, name, {
        partBytes: 1000,
        retry: { stallMs: 300, attempts: 3, random: () => 0 },
      })

    /** Pushes and reads back through the proxy; whether it failed, and how many requests it took. */
    async function attempt(name: string): Promise<{ code: string; requests: number }> {
      const repository = through(name)
      const run = async (): Promise<void> => {
        await pushImage(repository, small, 'v1')
        await expectImage(repository, small, 'v1')
      }
      const code = await codeOf(run())
      const { count: requests } = proxy
      await repository.close()
      return { code, requests }
    }

    it.each(FAULT_KINDS)('gets there in the end: %s', { timeout: 120_000 }, async (kind) => {
      proxy.spoil()
      const { requests } = await attempt(randomUUID())
      for (let nth = 1; nth <= requests; nth += 1) {
        const name = randomUUID()
        proxy.spoil(nth, kind)
        const { code } = await attempt(name)
        // One spoilt request may end a run with an error of ours, never with other bytes.
        spoilt += 1
        if (code !== 'none') {
          failed += 1
          expect(`${kind} ${nth}: ${SPOILS.has(kind) ? 'spoilt' : code}`).toBe(
            `${kind} ${nth}: spoilt`,
          )
          expect(code).toMatch(/^[A-Z_]+$/)
        }
        proxy.spoil()
        expect(`${kind} ${nth}: ${(await attempt(name)).code}`).toBe(`${kind} ${nth}: none`)
      }
    })
  })
}
