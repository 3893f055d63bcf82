/** What is done with images, done with images whose layers are stored in chunks: s3lo's own, and the Go program's. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { openBackend } from '@s3lo/backend-local'
import localPlugin from '@s3lo/backend-local/plugin'
import {
  type CommandDefinition,
  createHost,
  definePlugin,
  digestOf,
  MEDIA_TYPE,
  type Scanner,
  type ScanTarget,
} from '@s3lo/core'
import {
  type ImageFixture,
  imageFixture,
  MemoryBackend,
  putChunkedImage,
  runCommand,
  TAR_END,
  tarFile,
  noise,
} from '@s3lo/core/testing'
import { createKeyPair } from '@s3lo/signing'
import signing from '@s3lo/signing/plugin'
import soci from '@s3lo/soci/plugin'
import dockerPlugin from '@s3lo/source-docker/plugin'
import registryPlugin from '@s3lo/source-registry/plugin'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeOciLayout } from './oci-layout.ts'
import { serveStore } from './served-store.ts'

const MIB = 1024 * 1024
const NOISE = noise('large', 6 * MIB)
const LARGE = Buffer.concat([
  tarFile('usr/large', NOISE),
  tarFile('etc/motd', 'welcome\n'),
  TAR_END,
])
const OTHER = Buffer.concat([tarFile('usr/large', NOISE), tarFile('etc/motd', 'hello\n'), TAR_END])
const SMALL = Buffer.concat([tarFile('etc/small', 'small\n'), TAR_END])

interface Document {
  readonly config: { readonly digest: string; readonly size: number }
  readonly layers: readonly { readonly digest: string; readonly size: number }[]
}

let folder: string
let ref: string

/** Looks whether an image is whole on disk, as a scanner finds it. */
const scanner: Scanner = {
  name: 'whole',
  scan: async (target) => ({ hasFindings: false, report: await reportOn(target) }),
  sbom: (target) => reportOn(target),
}

const host = createHost({
  plugins: [
    localPlugin,
    dockerPlugin,
    registryPlugin,
    signing,
    soci,
    definePlugin({
      name: 'scanner',
      apiVersion: 1,
      scanners: {
        whole: {
          summary: 'a scanner',
          load: () => Promise.resolve({ openScanner: () => Promise.resolve(scanner) }),
        },
      },
    }),
  ],
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-chunked-'))
  ref = `local://${folder}/store//app:v1`
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function blobIn(layout: string, digest: string): Promise<Buffer> {
  const content = await readFile(join(layout, 'blobs/sha256', digest.slice('sha256:'.length)))
  expect(digestOf(content)).toBe(digest)
  return content
}

/** The manifest of a layout of which every blob has its digest. */
async function wholeLayout(layout: string): Promise<Document> {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly digest: string }[]
  }
  const manifest = await blobIn(layout, index.manifests[0]?.digest ?? '')
  const document = JSON.parse(manifest.toString()) as Document
  for (const { digest, size } of [document.config, ...document.layers]) {
    expect((await blobIn(layout, digest)).length).toBe(size)
  }
  return document
}

async function reportOn(target: ScanTarget): Promise<string> {
  const { layers } = await wholeLayout(target.folder)
  return JSON.stringify({ layers: layers.length })
}

async function settings(text: string, store = 'store'): Promise<void> {
  await mkdir(join(folder, store), { recursive: true })
  await writeFile(join(folder, store, 's3lo.yaml'), text)
}

async function pushOwn(image: ImageFixture, tag: string): Promise<string> {
  const layout = join(folder, `layout-${tag}`)
  await writeOciLayout(layout, tag, image)
  return (await host.push(`oci:${layout}:${tag}`, `local://${folder}/store//app:${tag}`)).digest
}

async function putGo(layers: readonly Uint8Array[], tag: string): Promise<string> {
  const location = { scheme: 'local', bucket: join(folder, 'store') }
  const backend = await openBackend(location, { env: {} })
  const given = { layers, chunkSize: MIB, format: 1 } as const
  return (await putChunkedImage(backend, { name: 'app', tag }, given)).descriptor.digest
}

async function text(reference: string, path: string): Promise<string> {
  const parts: Uint8Array[] = []
  await host.cat(reference, path, async (content) => {
    for await (const part of content) parts.push(part)
  })
  return Buffer.concat(parts).toString()
}

async function runSoci(...argv: readonly string[]): Promise<unknown> {
  const command = soci.commands.find(({ path }) => path.every((word, i) => argv[i] === word))
  const { default: definition } = (await command?.load()) ?? {}
  const work = { host, options: {}, stdout: new Writable() }
  const output = await runCommand(definition as CommandDefinition, argv.slice(2), work)
  return output?.result
}

describe.each([1, 2] as const)('an image in chunks of format %d', (format) => {
  let digest: string

  beforeEach(async () => {
    await settings(format === 1 ? 'chunk_format: 1\n' : 'chunked: true\n')
    const layers = [LARGE, SMALL]
    digest =
      format === 1 ? await putGo(layers, 'v1') : await pushOwn(imageFixture({ layers }), 'v1')
    const { layers: stored = [] } = await host.inspect(ref)
    expect(stored[0]).toMatchObject({ stored_as: 'chunks' })
  })

  it('is scanned, and gets a list of its parts', async () => {
    const scanned = await host.scan(ref, { scanner: 'whole', format: 'json', attach: true })
    expect(scanned).toMatchObject({ digest, findings: false, report: '{"layers":2}' })
    const listed = await host.sbom(ref, { scanner: 'whole', attach: true })
    expect(listed).toMatchObject({ digest, sbom: '{"layers":2}' })
    expect((await host.inspect(ref)).attachments).toHaveLength(2)
  })

  it('is signed and verified', async () => {
    const pair = await createKeyPair('', { n: 16 })
    const [key, pub] = [join(folder, 'key.pem'), join(folder, 'key.pub')]
    await writeFile(key, pair.privateKey)
    await writeFile(pub, pair.publicKey)
    expect(await host.sign(ref, { key })).toMatchObject({ digest })
    expect(await host.verify(ref, { key: pub })).toMatchObject({ digest, verified: true })
    const out = `oci:${folder}/verified:v1`
    expect(await host.pull(ref, out, { verifyKey: pub })).toMatchObject({ digest })
  })

  it('has layers that an index for lazy loading leaves out', async () => {
    await expect(runSoci('soci', 'create', ref, '--min-layer-size', '0')).rejects.toThrow(/zstd/)
    expect(await text(ref, '/etc/motd')).toBe('welcome\n')
  })

  it('is copied to a layout, an archive, a registry and a store, byte for byte', async () => {
    const layout = join(folder, 'out')
    expect(await host.copy(ref, `oci:${layout}:v1`)).toMatchObject({ digest })
    const { layers } = await wholeLayout(layout)
    const archive = join(folder, 'out.tar')
    expect(await host.copy(ref, `oci-archive:${archive}:v1`)).toMatchObject({ digest })
    const again = join(folder, 'again')
    expect(await host.copy(`oci-archive:${archive}:v1`, `oci:${again}:v1`)).toMatchObject({
      digest,
    })
    expect((await wholeLayout(again)).layers).toEqual(layers)
    const backend = new MemoryBackend()
    await using registry = await serveStore(async () => backend)
    const remote = `${registry.address}/team/app:v1`
    expect(await host.copy(ref, remote)).toMatchObject({ digest })
    for (const layer of layers) {
      const { body } = await backend.get(layer.digest.replace('sha256:', 'blobs/sha256/'))
      expect(digestOf(await buffer(body))).toBe(layer.digest)
    }
    await settings('', 'whole')
    const whole = `local://${folder}/whole//app:v1`
    expect(await host.copy(remote, whole)).toMatchObject({ digest })
    expect(await text(whole, '/etc/motd')).toBe('welcome\n')
    expect(await host.copy(ref, `local://${folder}/direct//app:v1`)).toMatchObject({ digest })
    const checked = await host.doctor(`local://${folder}/direct//`, { deep: true, probe: false })
    expect(checked).toMatchObject({ broken: false, orphaned_blobs: 0 })
  })

  it('is what it was pushed as for an engine', async () => {
    const archive = join(folder, 'engine.tar')
    await host.pull(ref, `docker-archive:${archive}:app:v1`)
    const back = join(folder, 'back')
    await host.copy(`docker-archive:${archive}`, `oci:${back}:v1`)
    const { layers, config } = await wholeLayout(back)
    expect(layers.map((layer) => layer.digest)).toEqual([digestOf(LARGE), digestOf(SMALL)])
    expect(config).toMatchObject((await wholeConfig(digest)) ?? {})
  })

  it('gets another tag without a byte, which keeps it when the first is deleted', async () => {
    const retagged = await host.copy(ref, ref.replace('v1', 'stable'))
    expect(retagged).toMatchObject({ digest, blobs_copied: 0, bytes_copied: 0 })
    await host.delete(ref, { purge: true })
    await host.clean(`local://${folder}/store//`, {
      confirm: true,
      graceMs: 0,
      goWritersStopped: true,
    })
    const stable = ref.replace('v1', 'stable')
    expect(await text(stable, '/etc/small')).toBe('small\n')
    const report = await host.doctor(`local://${folder}/store//`, { deep: true, probe: false })
    expect(report).toMatchObject({ ok: true, orphaned_blobs: 0 })
    expect(report).not.toHaveProperty('orphaned_chunks')
    expect((await host.history(stable)).rows).toMatchObject([{ tag: 'stable', digest }])
  })

  it('is restored after its tag was moved and deleted', async () => {
    // A copy writes the records that the Go program does not.
    const moved = ref.replace('v1', 'moved')
    await host.copy(ref, moved)
    const layers = [OTHER, SMALL]
    if (format === 1) await putGo(layers, 'v2')
    else await pushOwn(imageFixture({ layers }), 'v2')
    await host.copy(ref.replace('v1', 'v2'), moved)
    expect(await text(moved, '/etc/motd')).toBe('hello\n')
    await host.delete(moved)
    await host.delete(ref)
    await host.clean(`local://${folder}/store//`, { confirm: true, graceMs: 0 })
    expect((await host.restorable(moved)).map((image) => image.digest)).toContain(digest)
    expect(await host.restore(moved, { digest })).toMatchObject({ digest })
    expect(await text(moved, '/etc/motd')).toBe('welcome\n')
    const report = await host.doctor(`local://${folder}/store//`, { deep: true, probe: false })
    expect(report).toMatchObject({ ok: true })
  })

  async function wholeConfig(of: string): Promise<unknown> {
    const { content } = await host.manifest(ref.replace(/:v1$/, `@${of}`))
    const { config } = JSON.parse(Buffer.from(content).toString()) as Document
    return { digest: config.digest, size: config.size }
  }
})

it('an index for lazy loading covers the gzip layer beside one in chunks', async () => {
  await settings('chunked: true\n')
  const gzip = gzipSync(Buffer.concat([tarFile('etc/lazy', 'lazy\n'), TAR_END]))
  await pushOwn(withGzip(imageFixture({ layers: [LARGE, gzip] }), gzip), 'v1')
  const { layers = [] } = await host.inspect(ref)
  expect(layers).toMatchObject([{ stored_as: 'chunks' }, { digest: digestOf(gzip) }])
  expect(await runSoci('soci', 'create', ref, '--min-layer-size', '0')).toMatchObject({
    indexes: [{ ztocs: 1, skipped: [{ reason: expect.stringContaining('zstd') }] }],
  })
  expect(await text(ref, '/etc/lazy')).toBe('lazy\n')
  expect(await text(ref, '/etc/motd')).toBe('welcome\n')
})

/** The image with the media type of its last layer, which is compressed. */
function withGzip({ root, content }: ImageFixture, gzip: Uint8Array): ImageFixture {
  const manifest = Buffer.from(root.content).toString()
  const at = manifest.lastIndexOf(MEDIA_TYPE.ociLayer, manifest.indexOf(digestOf(gzip)))
  const changed = Buffer.from(
    `${manifest.slice(0, at)}${MEDIA_TYPE.ociLayerGzip}${manifest.slice(at + MEDIA_TYPE.ociLayer.length)}`,
  )
  const descriptor = { ...root.descriptor, digest: digestOf(changed), size: changed.length }
  return { root: { ...root, content: changed, descriptor }, content }
}
