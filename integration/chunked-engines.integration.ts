/** Images of real engines go into a store in chunks and come back as the same images. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { json } from 'node:stream/consumers'
import localPlugin from '@s3lo/backend-local/plugin'
import { createHost, decompress, Digester, digestOf, type Host, MEDIA_TYPE } from '@s3lo/core'
import { imageFixture, noise, TAR_END, tarFile } from '@s3lo/core/testing'
import dockerPlugin from '@s3lo/source-docker/plugin'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeOciLayout } from './oci-layout.ts'
import { requiredServer } from './required.ts'

const MIB = 1024 * 1024
const RUN = `s3lo-test/chunked-${randomBytes(4).toString('hex')}`

const required = requiredServer('engines', 'engines.sh start', [
  'S3LO_TEST_ENGINE_LEGACY',
  'S3LO_TEST_ENGINE_OVERLAY',
  'S3LO_TEST_ENGINE_CONTAINERD',
])
/** Each with the one of another kind that gets its image too. */
const ENGINES = [
  { name: 'legacy', other: 'containerd' },
  { name: 'overlay', other: 'legacy' },
  { name: 'containerd', other: 'overlay' },
  { name: 'podman', other: 'containerd' },
] as const
const ADDRESSES: Readonly<Record<string, string | undefined>> = {
  legacy: required?.S3LO_TEST_ENGINE_LEGACY,
  overlay: required?.S3LO_TEST_ENGINE_OVERLAY,
  containerd: required?.S3LO_TEST_ENGINE_CONTAINERD,
  podman: process.env['S3LO_TEST_ENGINE_PODMAN'],
}

/** What an engine says about an image. */
interface Inspected {
  readonly Id: string
  readonly RootFS: { readonly Layers: readonly string[] }
}

interface Manifest {
  readonly config: { readonly digest: string }
  readonly layers: readonly { readonly mediaType: string; readonly digest: string }[]
}

let folder: string
/** Of the image that all engines get. */
let diffIds: readonly string[]
let config: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-chunked-engines-'))
  const layers = [
    Buffer.concat([
      tarFile('usr/noise', noise(RUN, 9 * MIB)),
      tarFile('etc/zeros', Buffer.alloc(MIB)),
      TAR_END,
    ]),
    Buffer.concat([tarFile('etc/small', 'small\n'), TAR_END]),
  ]
  const image = imageFixture({ layers, label: RUN })
  diffIds = layers.map((layer) => digestOf(layer))
  config = (JSON.parse(Buffer.from(image.root.content).toString()) as Manifest).config.digest
  await writeOciLayout(join(folder, 'image'), 'v1', image)
  await mkdir(join(folder, 'store'))
  await writeFile(join(folder, 'store/s3lo.yaml'), 'chunked: true\n')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe.each(ENGINES)('the engine $name', ({ name, other }) => {
  const address = ADDRESSES[name]
  const address2 = ADDRESSES[other]
  it.skipIf(address === undefined || address2 === undefined)(
    'gives an image to chunks and gets the same one back, and so does another kind',
    async () => {
      const engine = new TestEngine(address ?? '')
      const second = new TestEngine(address2 ?? '')
      try {
        await roundTrip(name, engine, second)
      } finally {
        await engine.clear()
        await second.clear()
      }
    },
  )
})

async function roundTrip(name: string, engine: TestEngine, second: TestEngine): Promise<void> {
  const ref = `local://${folder}/store//${name}:v1`
  const before = await engine.copy(`oci:${folder}/image:v1`, 'before')
  const planned = await engine.host.push(`${RUN}:before`, ref, { dryRun: true })
  const pushed = await engine.host.push(`${RUN}:before`, ref)
  const { dry_run: _dryRun, blobs: _blobs, ...foretold } = planned
  expect(pushed).toEqual(foretold)
  expect(pushed.chunks).toBeGreaterThan(1)
  const { layers: stored = [] } = await engine.host.inspect(ref)
  expect(stored[0]).toMatchObject({ stored_as: 'chunks' })
  // Nothing of it is left that the pull could find.
  await engine.clear()
  const after = await engine.copy(ref, 'after')
  expect(after.RootFS.Layers).toEqual(diffIds)
  // A store of containerd calls an image by its manifest, the others by its config.
  if (name === 'containerd') expect(after.Id).toBe(pushed.digest)
  else expect([after.Id, after.Id]).toEqual([before.Id, idOf(after, config)])
  await expectSameLayers(engine, `${name}-after`, 'after')
  expect(await engine.host.push(`${RUN}:after`, ref)).toMatchObject({
    digest: pushed.digest,
    bytes_uploaded: 0,
  })
  expect((await second.copy(ref, 'other')).RootFS.Layers).toEqual(diffIds)
  await expectSameLayers(second, `${name}-other`, 'other')
}

/** Podman leaves the algorithm out. */
function idOf({ Id }: Inspected, digest: string): string {
  return Id.startsWith('sha256:') ? digest : digest.slice('sha256:'.length)
}

/** What an engine gives back is the image's config, and layers of the same bytes. */
async function expectSameLayers(engine: TestEngine, layout: string, tag: string): Promise<void> {
  const out = join(folder, layout)
  const { digest } = await engine.host.copy(`docker-daemon:${RUN}:${tag}`, `oci:${out}:v1`)
  const blob = (of: string): Promise<Buffer> =>
    readFile(join(out, 'blobs/sha256', of.slice('sha256:'.length)))
  const manifest = JSON.parse((await blob(digest)).toString()) as Manifest
  expect(manifest.config.digest).toBe(config)
  const found: string[] = []
  for (const { mediaType, digest: layer } of manifest.layers) {
    const content = Readable.from([await blob(layer)])
    const isZstd = mediaType === MEDIA_TYPE.ociLayerZstd
    const digester = new Digester()
    for await (const bytes of isZstd ? decompress(content, 'zstd', layer) : content) {
      digester.update(bytes as Uint8Array)
    }
    found.push(digester.digest())
  }
  expect(found).toEqual(diffIds)
}

/** An engine, and the images that it was given here. */
class TestEngine {
  readonly host: Host
  readonly #address: string
  readonly #tags = new Set<string>()

  constructor(address: string) {
    this.#address = address
    const plugins = [localPlugin, dockerPlugin]
    this.host = createHost({ plugins, env: { ...process.env, DOCKER_HOST: address } })
  }

  /** Copies an image into the engine, and tells what it says of it. */
  async copy(from: string, tag: string): Promise<Inspected> {
    this.#tags.add(tag)
    await this.host.copy(from, `docker-daemon:${RUN}:${tag}`)
    return (await this.#request('GET', `/images/${RUN}:${tag}/json`)) as Inspected
  }

  async clear(): Promise<void> {
    for (const tag of this.#tags) await this.#request('DELETE', `/images/${RUN}:${tag}?force=1`)
    this.#tags.clear()
  }

  #request(method: string, path: string): Promise<unknown> {
    const socketPath = this.#address.slice('unix://'.length)
    return new Promise((resolve, reject) => {
      request({ socketPath, method, path, headers: { Host: 'docker' } })
        .once('response', (response) => resolve(json(response)))
        .once('error', reject)
        .end()
    })
  }
}
