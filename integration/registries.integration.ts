/**
 * Copies between registries, stores and layouts, as the command line makes them, against real
 * registries (integration/start-registry.sh).
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request as sendRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { openBackend } from '@s3lo/backend-local'
import { type Descriptor, ImageStore, withPublication } from '@s3lo/core'
import { imageFixture, indexFixture, putImage, referrerFixture } from '@s3lo/core/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { writeBigArchive } from './big-archive.ts'
import { inherited } from './inherited.ts'
import {
  requiredClients,
  requiredRegistries,
  requiredService,
  type Registries,
} from './required.ts'

const MAIN = join(import.meta.dirname, '../apps/cli/src/main.ts')
const MIB = 1024 * 1024

const registries = requiredRegistries()
if (registries === undefined) it.skip('registries are not there', () => {})
else testAgainst(registries)

/** One image with everything that can be said about it: attestations, an SBOM that is signed, cosign's tag. */
const amd64 = imageFixture({ layers: [randomBytes(3 * MIB), 'amd'], platform: 'linux/amd64' })
const arm64 = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64' })
const image = indexFixture({ 'linux/amd64': amd64, 'linux/arm64': arm64 }, { attestations: true })
const sbom = referrerFixture(amd64.root.descriptor, 'application/spdx+json', 'an SBOM')
const signature = referrerFixture(sbom.root.descriptor, 'a/signature', 'of the SBOM')
const cosigned = imageFixture({ layers: ['a signature of cosign'] })
const COSIGN_TAG = `sha256-${image.root.descriptor.digest.slice(7)}.sig`

function testAgainst(servers: Registries): void {
  let work: string
  let env: NodeJS.ProcessEnv
  /** A store that holds the image. */
  let seed: string

  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), 's3lo-registries-'))
    seed = join(work, 'seed')
    const backend = await openBackend({ scheme: 'local', bucket: seed }, { env: {} })
    const store = new ImageStore(backend)
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    await putImage(backend, { name: 'app', tag: COSIGN_TAG }, cosigned)
    for (const [subject, referrer] of [
      [amd64, sbom],
      [sbom, signature],
    ] as const) {
      const open = async ({ digest }: Descriptor): Promise<Readable> =>
        Readable.from([referrer.content.get(digest) ?? ''])
      await withPublication(store, {}, (publication) =>
        publication.attach(
          referrer.root,
          { repository: 'app', subject: subject.root.descriptor },
          open,
        ),
      )
    }
    const auth = Buffer.from(`${servers.user}:${servers.password}`).toString('base64')
    const auths = Object.fromEntries(
      [servers.htpasswd, servers.token, servers.tls].map((host) => [host, { auth }]),
    )
    await writeFile(join(work, 'config.json'), JSON.stringify({ auths }))
    env = { ...inherited(), HOME: work, DOCKER_CONFIG: work }
  })
  afterAll(() => rm(work, { recursive: true, force: true }))

  function start(args: readonly string[]) {
    return spawn(process.execPath, ['--conditions=s3lo-source', MAIN, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  async function s3lo(...args: readonly string[]) {
    const child = start(args)
    const [stdout, stderr, [code]] = await Promise.all([
      Readable.from(child.stdout).toArray(),
      Readable.from(child.stderr).toArray(),
      once(child, 'close') as Promise<[number | null]>,
    ])
    const text = Buffer.concat(stdout as Buffer[]).toString()
    if (code !== 0) throw new Error(`${args.join(' ')}: ${code} ${text} ${stderr.join('')}`)
    // Text is a digest, which the tests ask the target for instead.
    return /^[[{]/.test(text) ? (JSON.parse(text) as Record<string, unknown>) : {}
  }

  /** What a store says that it has, by name. */
  async function expectEverything(root: string): Promise<void> {
    const backend = await openBackend({ scheme: 'local', bucket: root }, { env: {} })
    const store = new ImageStore(backend)
    const read = async (tag: string) =>
      Buffer.from((await store.read({ name: 'app', tag })).content).toString()
    expect(await read('v1')).toBe(Buffer.from(image.root.content).toString())
    expect(await read(COSIGN_TAG)).toBe(Buffer.from(cosigned.root.content).toString())
    for (const [subject, referrer] of [
      [amd64, sbom],
      [sbom, signature],
    ] as const) {
      const found: Descriptor[] = await Array.fromAsync(
        store.referrers('app', subject.root.descriptor),
      )
      expect(found.map(({ digest }) => digest)).toEqual([referrer.root.descriptor.digest])
    }
    for (const [digest, bytes] of image.content) {
      const descriptor = { mediaType: 'x', digest, size: bytes.byteLength }
      for await (const _ of await store.fetch(descriptor));
    }
  }

  describe.each([
    ['open', servers.open, []],
    ['with passwords', servers.htpasswd, []],
    ['with tokens', servers.token, []],
    ['with TLS and passwords', servers.tls, ['--tls-ca', servers.ca]],
  ])('a registry %s', (_mode, host, flags) => {
    const name = `${host}/${randomUUID()}/app`

    it('takes an image with all that refers to it, and gives it back byte for byte', async () => {
      const there = await s3lo(
        'copy',
        `local://${seed}//app:v1`,
        `${name}:v1`,
        '-o',
        'json',
        ...flags,
      )
      expect(there).toMatchObject({ digest: image.root.descriptor.digest, referrers_copied: 3 })
      const root = join(work, randomUUID())
      const back = await s3lo(
        'copy',
        `${name}:v1`,
        `local://${root}//app:v1`,
        '-o',
        'json',
        ...flags,
      )
      expect(back).toMatchObject({ digest: image.root.descriptor.digest, referrers_copied: 3 })
      await expectEverything(root)
    })

    it('says that nothing is new the second time', async () => {
      const again = await s3lo(
        'copy',
        `local://${seed}//app:v1`,
        `${name}:v1`,
        '-o',
        'json',
        ...flags,
      )
      expect(again).toMatchObject({ blobs_copied: 0, bytes_copied: 0 })
    })

    it('gives an archive and a layout, which give it back', async () => {
      const layout = `oci:${join(work, randomUUID())}:v1`
      await s3lo('copy', `${name}:v1`, layout, ...flags)
      const root = join(work, randomUUID())
      await s3lo('copy', layout, `local://${root}//app:v1`)
      await expectEverything(root)
      const archive = `docker-archive:${join(work, randomUUID())}.tar:app:v1`
      await s3lo('copy', `${name}:v1`, archive, '--platform', 'linux/arm64', ...flags)
      await s3lo('copy', archive, `${name}:from-archive`, ...flags)
    })
  })

  it('goes from registry to registry, from any to any', async () => {
    const [first, second] = [`${servers.open}/${randomUUID()}`, `${servers.token}/${randomUUID()}`]
    await s3lo('copy', `local://${seed}//app:v1`, `docker://${first}/app:v1`)
    await s3lo('copy', `${first}/app:v1`, `${second}/app:v1`)
    const root = join(work, randomUUID())
    await s3lo('copy', `${second}/app:v1`, `local://${root}//app:v1`)
    await expectEverything(root)
  })

  const engine = requiredService('engines', 'S3LO_TEST_ENGINE_OVERLAY')
  it.skipIf(engine === undefined)(
    'takes an image from an archive to an engine and back',
    async () => {
      const archive = join(work, 'engine.tar')
      const id = randomUUID()
      await writeBigArchive(archive, { layerCount: 2, layerBytes: MIB, name: 'any/app:v1' })
      const [first, second] = [`${servers.open}/${id}/one`, `${servers.open}/${id}/two`]
      const inEngine = `docker-daemon:s3lo-test/${id}:v1`
      env = { ...env, DOCKER_HOST: engine ?? '' }
      await s3lo('copy', `docker-archive:${archive}`, `${first}:v1`)
      await s3lo('copy', `${first}:v1`, inEngine)
      await s3lo('copy', inEngine, `${second}:v1`)
      const store = join(work, 'engine')
      const layers: unknown[] = []
      for (const name of [first, second]) {
        await s3lo('copy', `${name}:v1`, `local://${store}//app:v1`)
        layers.push((await s3lo('inspect', `local://${store}//app:v1`, '-o', 'json'))['layers'])
      }
      expect(layers[0]).toHaveLength(2)
      expect(layers[1]).toEqual(layers[0])
    },
  )

  it('copies the tags that a pattern selects, and leaves fallback tags to their images', async () => {
    const name = `${servers.open}/${randomUUID()}/app`
    for (const tag of ['v1.0', 'v1.1', 'v2.0']) {
      await s3lo('copy', `local://${seed}//app:v1`, `${name}:${tag}`)
    }
    const target = `local://${join(work, randomUUID())}//app`
    const plan = await s3lo('copy', `${name}:v1.*`, target, '--dry-run', '-o', 'json')
    expect(plan).toMatchObject({ dry_run: true, tags: [{ tag: 'v1.0' }, { tag: 'v1.1' }] })
    await s3lo('copy', `${name}:v1.*`, target)
    const all = await s3lo('copy', '--all-tags', name, target, '-o', 'json')
    expect(all).toMatchObject({ tags_copied: 1, tags_unchanged: 2, tags_failed: 0 })
    const store = target.replace('//app', '//')
    const tags = ['v1.0', 'v1.1', 'v2.0']
    expect(await s3lo('list', store, '-o', 'json')).toEqual([{ name: 'app', tags }])
    expect(await s3lo('list', store, '--all', '-o', 'json')).toEqual([
      { name: 'app', tags: [COSIGN_TAG, ...tags] },
    ])
  })

  const clients = requiredClients()
  describe.skipIf(clients === undefined)('what other clients have put in a registry', () => {
    function client(name: 'skopeo' | 'crane' | 'oras', ...args: readonly string[]): Buffer {
      const { status, stdout, stderr } = spawnSync(clients?.[name] ?? '', args, { cwd: work, env })
      if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr.toString()}`)
      return stdout
    }

    it('they find in another one, byte for byte, after it was in a store', async () => {
      const [first, second] = [0, 1].map(() => `${servers.open}/${randomUUID()}/app`)
      const layout = `oci:${join(work, 'clients')}:v1`
      await s3lo('copy', `local://${seed}//app:v1`, layout, '--referrers', 'none')
      const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false']
      const exact = ['--insecure-policy', 'copy', '--all', '--preserve-digests', ...insecure]
      client('skopeo', ...exact, layout, `docker://${first}:v1`)
      await writeFile(join(work, 'sbom.json'), '{"spdxVersion":"SPDX-2.3"}')
      const digests = [image, amd64].map(({ root }) => root.descriptor.digest)
      for (const digest of digests) {
        const subject = `${first}@${digest}`
        const type = ['--artifact-type', 'application/spdx+json']
        client('oras', 'attach', '--plain-http', ...type, subject, 'sbom.json:application/json')
      }
      client('crane', 'append', '--insecure', '-f', 'sbom.json', '-t', `${first}:${COSIGN_TAG}`)

      const root = join(work, randomUUID())
      await s3lo('copy', `${first}:v1`, `local://${root}//app:v1`)
      await s3lo('copy', `local://${root}//app:v1`, `${second}:v1`)

      const bytes = (name: string) => [
        client('skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${name}:v1`),
        client('crane', 'manifest', '--insecure', `${name}:v1`),
        client('crane', 'manifest', '--insecure', `${name}:${COSIGN_TAG}`),
        ...digests.map((digest) => Buffer.from(referrersOf(name, digest))),
      ]
      expect(bytes(second ?? '').map(String)).toEqual(bytes(first ?? '').map(String))
      expect(bytes(second ?? '')[0]?.equals(image.root.content)).toBe(true)
      // Every blob, too.
      const out = `oci:${join(work, 'clients-out')}:v1`
      client('skopeo', ...exact, `docker://${second}:v1`, out)
    })

    /** The digests of what oras finds. */
    function referrersOf(name: string, digest: string): string {
      const found = client(
        'oras',
        'discover',
        '--plain-http',
        '--format',
        'json',
        `${name}@${digest}`,
      )
      const digests = found.toString().match(/sha256:\w{64}/g) ?? []
      expect(new Set(digests).size).toBeGreaterThan(1)
      return [...new Set(digests)].toSorted().join(' ')
    }
  })

  describe('a copy that is killed', () => {
    const LAYERS = 16
    const layers = Array.from({ length: LAYERS }, () => randomBytes(6 * MIB))
    const big = imageFixture({ layers })
    let proxy: CountingProxy
    afterEach(() => proxy.stop())

    it('at half finishes the rest, and loads again at most what was in flight', async () => {
      const store = join(work, 'big')
      const backend = await openBackend({ scheme: 'local', bucket: store }, { env: {} })
      await putImage(backend, { name: 'big', tag: 'v1' }, big)
      const repository = `${randomUUID()}/big`
      await s3lo('copy', `local://${store}//big:v1`, `${servers.open}/${repository}:v1`)
      proxy = await CountingProxy.start(servers.open)
      const layout = join(work, 'killed')
      const args = ['copy', `${proxy.host}/${repository}:v1`, `oci:${layout}:v1`]

      const child = start(args)
      child.stdout.resume()
      child.stderr.resume()
      proxy.onBytes = (bytes) => {
        if (bytes > (LAYERS * 6 * MIB) / 2) child.kill('SIGKILL')
      }
      await once(child, 'close')
      expect(child.signalCode).toBe('SIGKILL')
      const whole = [...big.content.keys()].filter((digest) => existsSync(blobPath(layout, digest)))
      const kept = new Set(whole)
      const inFlight = [...proxy.blobs].filter((digest) => !kept.has(digest))
      expect(kept.size).toBeGreaterThan(0)

      proxy.reset()
      const result = await s3lo(...args, '-o', 'json')
      const untouched = [...big.content.keys()].filter((digest) => !proxy.blobs.has(digest))
      expect(new Set(untouched)).toEqual(kept)
      expect(result).toMatchObject({
        blobs_skipped: kept.size,
        blobs_copied: big.content.size - kept.size,
      })
      expect(inFlight.length).toBeLessThanOrEqual(7) // Six large ones at once, and the config.
      for (const digest of big.content.keys()) {
        const hash = createHash('sha256').update(await readFile(blobPath(layout, digest)))
        expect(`sha256:${hash.digest('hex')}`).toBe(digest)
      }
    })
  })
}

function blobPath(layout: string, digest: string): string {
  return join(layout, 'blobs/sha256', digest.slice(7))
}

/** Passes requests on, and counts what comes back. */
class CountingProxy {
  readonly host: string
  /** Blobs that were asked for. */
  readonly blobs = new Set<string>()
  /** Called with the bytes of blobs so far. */
  onBytes: (bytes: number) => void = () => {}
  #bytes = 0
  readonly #server: ReturnType<typeof createServer>

  private constructor(server: ReturnType<typeof createServer>, upstream: string) {
    this.#server = server
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (incoming, response) => {
      const { method = 'GET', url: path = '/', headers } = incoming
      const digest = method === 'GET' ? /\/blobs\/(sha256:\w+)$/.exec(path)?.[1] : undefined
      if (digest !== undefined) this.blobs.add(digest)
      const outgoing = sendRequest(`http://${upstream}${path}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.on('data', (chunk: Buffer) => {
          if (digest === undefined) return
          this.#bytes += chunk.byteLength
          this.onBytes(this.#bytes)
        })
        answer.pipe(response)
        response.on('close', () => answer.destroy())
      })
      outgoing.on('error', () => response.destroy())
      incoming.pipe(outgoing)
    })
  }

  static async start(upstream: string): Promise<CountingProxy> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new CountingProxy(server, upstream)
  }

  reset(): void {
    this.blobs.clear()
    this.onBytes = () => {}
    this.#bytes = 0
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
