import { Readable } from 'node:stream'
import {
  createHost,
  type Descriptor,
  digestOf,
  documentWith,
  ImageStore,
  layerIndexKey,
  MEDIA_TYPE,
} from '@s3lo/core'
import { attachReferrer, TAR_END, tarFile } from '@s3lo/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { encodeManifest } from '../../src/index/canonical-json.ts'
import { packZtoc } from '../../src/kept-ztoc.ts'
import { decodeZtoc, encodeZtoc } from '../../src/ztoc/flatbuffer.ts'
import { ZtocBuilder } from '../../src/ztoc/ztoc-builder.ts'
import { REF, SociWorld } from './soci-world.ts'

const SPANS = ['--min-layer-size', '0', '--span-size', '1024']
const file = (name: string, text: string): Buffer => tarFile(name, text.padEnd(3000, '.'))
const tar = (...files: readonly Buffer[]): Buffer => Buffer.concat([...files, TAR_END])

/** Two tars of the same length, of which the second has other names and other content. */
const LAYER = tar(file('etc/motd', 'right'), file('etc/os', 'linux'))
const OTHER = tar(file('etc/motd', 'WRONG'), file('etc/xx', 'nothing'))
const LOWER = tar(file('etc/motd', 'older'), file('etc/low', 'low'))
const DIGEST = digestOf(LAYER)
const KEY = layerIndexKey('soci', DIGEST)

let world: SociWorld

beforeEach(async () => {
  world = await SociWorld.open([LOWER, LAYER], MEDIA_TYPE.ociLayer)
})

function ztocOf(layer: Buffer): Uint8Array {
  const builder = new ZtocBuilder({ spanSize: 1024 })
  builder.push(layer)
  return builder.finish().content
}

/** Keeps the zTOC of another layer as this one's. */
async function keepWrong(content?: Uint8Array): Promise<void> {
  const wrong = content ?? ztocOf(OTHER)
  await world.backend.put(KEY, await packZtoc(wrong, DIGEST))
}

async function keptZtoc(): Promise<Buffer> {
  const { body } = await world.backend.get(KEY)
  return Buffer.concat(await Array.fromAsync(body as AsyncIterable<Buffer>))
}

const isRight = async (): Promise<boolean> =>
  (await keptZtoc()).equals(Buffer.from(await packZtoc(ztocOf(LAYER), DIGEST)))

describe('a well-formed index that is wrong', () => {
  it.each(['/etc/motd', '/etc/os', '/etc/low'])(
    'does not keep %s from being read: the layer is read instead',
    async (path) => {
      await keepWrong()
      const { text, notices } = await world.cat(path)
      expect(text.replaceAll('.', '')).toBe(
        path.slice(5).replace('motd', 'right').replace('os', 'linux'),
      )
      expect(notices).toEqual(['layer-index-broken'])
    },
  )

  it('names no file that is not in the layer', async () => {
    await keepWrong()
    await expect(world.cat('/etc/xx')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const listed = await world.host.files(REF, '/etc', { platform: 'linux/amd64' })
    expect(listed.map(({ path }) => path)).toEqual(['/etc/low', '/etc/motd', '/etc/os'])
  })

  it('never mixes what an index gave with what the layer holds', async () => {
    // The first spans are the layer's own; a later one has a digest of its own invention.
    const ztoc = decodeZtoc(ztocOf(LAYER))
    const spanDigests = ztoc.spanDigests.map((digest, i) =>
      i === 2 ? digestOf(Buffer.from('invented')) : digest,
    )
    await keepWrong(encodeZtoc({ ...ztoc, spanDigests }))
    const { text } = await world.cat('/etc/motd')
    expect(text).toBe('right'.padEnd(3000, '.'))
  })

  it('is replaced by cat --index', async () => {
    await keepWrong()
    expect((await world.cat('/etc/os', { index: true })).notices).toEqual(['layer-index-broken'])
    expect((await world.cat('/etc/os')).notices).toEqual([])
  })

  it('is replaced by soci create, with and without --force', async () => {
    for (const force of [[], ['--force']]) {
      await keepWrong()
      await world.run('soci', 'create', REF, ...SPANS, '--build-tool', 's3lo soci v1', ...force)
      expect(await isRight()).toBe(true)
    }
  })

  it('is replaced by soci rebuild where an index of the image names the right one', async () => {
    await world.run('soci', 'create', REF, ...SPANS)
    await keepWrong()
    expect(await world.resultOf('soci', 'rebuild', 'mem://b/')).toMatchObject({
      replaced: [DIGEST],
      dropped: [],
    })
    expect(await isRight()).toBe(true)
  })

  it('gives its place to the index that soci create --force makes', async () => {
    await attachWrong()
    await world.run('soci', 'create', REF, ...SPANS, '--force')
    const { attachments = [] } = await world.host.inspect(REF)
    expect(attachments).toHaveLength(1)
    await world.backend.delete([KEY])
    expect((await world.cat('/etc/os')).notices).toEqual([])
  })

  it('does not harm when an index of the image names it', async () => {
    await attachWrong()
    const { text, notices } = await world.cat('/etc/os')
    expect(text).toBe('linux'.padEnd(3000, '.'))
    expect(notices).toEqual(['layer-index-broken'])
  })

  it('is not looked at where layers are to be read whole', async () => {
    await keepWrong()
    expect((await world.cat('/etc/os', { wholeLayers: true })).notices).toEqual([])
    await expect(world.cat('/etc/os', { wholeLayers: true, index: true })).rejects.toMatchObject({
      code: 'USAGE',
    })
  })
})

describe('doctor --deep', () => {
  const doctor = (): ReturnType<SociWorld['host']['doctor']> =>
    world.host.doctor('mem://b/', { deep: true, probe: false })

  it('finds the indexes right that were made of the layers', async () => {
    await world.run('soci', 'create', REF, ...SPANS)
    await world.run('soci', 'convert', REF, 'mem://b/app:lazy', '--min-layer-size', '0')
    const { ok, compared_indexes } = await doctor()
    // Of each of two layers: one kept, and two that are recorded, of two span sizes.
    expect({ ok, compared_indexes }).toEqual({ ok: true, compared_indexes: 6 })
  })

  it('finds the one that is not what its layer is, and its cure cures it', async () => {
    await world.run('soci', 'create', REF, ...SPANS)
    await keepWrong()
    const { ok, broken, wrong_indexes, findings } = await doctor()
    expect({ ok, broken }).toEqual({ ok: false, broken: false })
    expect(wrong_indexes).toMatchObject([{ layer: DIGEST }])
    const hint = findings.find(({ message }) => message.includes(DIGEST))?.hint
    expect(hint).toContain('s3lo soci create memory://b/app:v1 --all-platforms --force')
    await world.run('soci', 'create', REF, ...SPANS, '--force')
    expect((await doctor()).ok).toBe(true)
  })

  it('finds one that differs in a single file, window or span', async () => {
    const right = decodeZtoc(ztocOf(LAYER))
    const wrong = [
      { ...right, entries: right.entries.slice(0, 1) },
      { ...right, entries: right.entries.map((entry) => ({ ...entry, mode: 0o777 })) },
      { ...right, spanDigests: right.spanDigests.with(3, digestOf(Buffer.of())) },
    ]
    for (const ztoc of wrong) {
      await keepWrong(encodeZtoc(ztoc))
      expect((await doctor()).wrong_indexes).toHaveLength(1)
    }
  })

  it('says without the plugin that indexes are not compared', async () => {
    await keepWrong()
    const host = createHost({ plugins: [world.memory] })
    const report = await host.doctor('mem://b/', { deep: true, probe: false })
    expect(report.findings).toContainEqual(
      expect.objectContaining({ hint: 's3lo plugin add @s3lo/soci' }),
    )
  })
})

describe('the zTOC that is kept beside a layer', () => {
  it('is bound to the layer by its label', async () => {
    await world.cat('/etc/motd', { index: true })
    await world.backend.put(KEY, await packZtoc(ztocOf(OTHER), digestOf(OTHER)))
    expect((await world.cat('/etc/motd')).notices).toEqual(['layer-index-broken'])
    expect(await world.resultOf('soci', 'rebuild', 'mem://b/')).toMatchObject({ dropped: [DIGEST] })
    expect(await world.keys(KEY)).toEqual([])
  })

  it('must be the one that a converted image names, whose digest covers it', async () => {
    await world.run('soci', 'convert', REF, 'mem://b/app:lazy', ...SPANS)
    const { digest } = await world.host.inspect('mem://b/app:lazy')
    const pinned = `mem://b/app@${digest}`
    expect((await world.cat('/etc/motd', {}, pinned)).notices).toEqual([])
    // Everything in it is right but one entry, which leads to another file's content.
    const ztoc = decodeZtoc(ztocOf(LAYER))
    await keepWrong(encodeZtoc({ ...ztoc, buildToolIdentifier: 'forger' }))
    const before = await world.cat('/etc/motd', {}, pinned)
    expect(before.text).toBe('right'.padEnd(3000, '.'))
    expect((await keptZtoc()).length).toBeLessThan(before.fetched)
  })
})

/** An index of version 1 that names the zTOC of another layer as this one's. */
async function attachWrong(): Promise<void> {
  const store = new ImageStore(world.backend)
  const { digest, size, mediaType } = await store.resolve({ name: 'app', tag: 'v1' })
  const blobs = new Map<string, Uint8Array>()
  const put = (content: Uint8Array, type: string): Descriptor => {
    blobs.set(digestOf(content), content)
    return { mediaType: type, digest: digestOf(content), size: content.byteLength }
  }
  const config = put(Buffer.from('{}'), 'application/vnd.amazon.soci.index.v1+json')
  const ztoc = {
    ...put(ztocOf(OTHER), 'application/octet-stream'),
    annotations: { 'com.amazon.soci.image-layer-digest': DIGEST },
  }
  const subject = { mediaType, digest, size }
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config,
    layers: [ztoc],
    subject,
  }
  const content = encodeManifest(manifest)
  const descriptor = put(content, MEDIA_TYPE.ociManifest)
  const open = (blob: Descriptor): Promise<Readable> =>
    Promise.resolve(Readable.from([blobs.get(blob.digest) ?? Buffer.of()]))
  await attachReferrer(
    store,
    documentWith(descriptor, content),
    { repository: 'app', subject },
    open,
  )
  await store.close()
}
