import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstat, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import {
  digestOf,
  type ImageTarget,
  type ManifestDocument,
  MEDIA_TYPE,
  parseManifest,
  readAll,
  type StreamingTarget,
  successors,
} from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import * as dockerArchive from '../src/docker-archive.ts'
import * as ociArchive from '../src/oci-archive.ts'
import {
  containerdSave,
  encode,
  entry,
  hexOf,
  legacySave,
  makeImage,
  makeLayer,
  makeMultiPlatform,
  manifestOver,
  overlaySave,
  podmanSave,
  tarOf,
  tarWithLinks,
  threeLayers,
  type TestImage,
} from './images.ts'
import { MemorySink } from './memory-sink.ts'
import { codeOf } from './code-of.ts'
import { randomAccess, readImage } from './read-image.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-archive-'))
})
afterEach(() => rm(folder, { recursive: true }))

const options = { env: {} }

async function save(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

async function readArchive(text: string): Promise<ManifestDocument> {
  return (await readImage(await dockerArchive.openSource(text, options))).root
}

async function ociIndexOf(path: string): Promise<{ manifests: { annotations: object }[] }> {
  const bytes = await readFile(path)
  const at = bytes.indexOf('{"schemaVersion":2')
  return JSON.parse(bytes.toString('utf8', at, bytes.indexOf('\0', at)))
}

function streaming(target: ImageTarget | StreamingTarget): StreamingTarget {
  if (target.kind !== 'streaming') throw new Error('expected a streaming target')
  return target
}

describe('docker-archive as a source', () => {
  it.each([
    ['docker before 25', legacySave],
    ['docker since 25', overlaySave],
    ['podman', podmanSave],
  ] as const)('gives the same image from what %s saves', async (_, write) => {
    const image = await threeLayers()
    const path = await save('image.tar', await write(image, 'app:v1'))
    const { root, sink } = await readImage(await dockerArchive.openSource(path, options))
    expect(root).toEqual(image.document)
    expect(sink.blobs.has(image.configDigest)).toBe(true)
  })

  it('gives the same image from a pipe and from a compressed archive', async () => {
    const image = await threeLayers()
    const bytes = await legacySave(image, 'app:v1')
    const pipe = join(folder, 'pipe')
    await once(spawn('sh', ['-c', 'mkfifo "$0"', pipe]), 'close')
    const writing = writeFile(pipe, bytes)
    expect((await readImage(await dockerArchive.openSource(pipe, options))).root).toEqual(
      image.document,
    )
    await writing
    const halves = [bytes.subarray(0, 3000), bytes.subarray(3000)]
    const frames = Buffer.concat(halves.map((half) => zstdCompressSync(half)))
    for (const compressed of [gzipSync(bytes), zstdCompressSync(bytes), frames]) {
      const path = await save('image.tar.z', compressed)
      const opened = await dockerArchive.openSource(`${path}:app:v1`, options)
      expect((await readImage(opened)).root).toEqual(image.document)
    }
  })

  it('fails on a compressed archive that is cut short', async () => {
    const image = await threeLayers()
    const bytes = gzipSync(await legacySave(image, 'app:v1'))
    const path = await save('image.tar.gz', bytes.subarray(0, bytes.length - 40))
    expect(await codeOf(readImage(await dockerArchive.openSource(path, options)))).toBe('INTEGRITY')
  })

  it('names compressed layers by what they are, under any file name', async () => {
    const [one, two] = [await makeLayer('one'), await makeLayer('two')]
    const image = await makeImage([one, two])
    const files = { 'c.json': image.config, 'layer.tar': one.gzip, 'other.tar.gz': two.zstd }
    const listed = [{ Config: 'c.json', RepoTags: null, Layers: ['layer.tar', 'other.tar.gz'] }]
    const path = await save('image.tar', await tarOf({ ...files, 'manifest.json': encode(listed) }))
    const { root } = await readImage(await dockerArchive.openSource(path, options))
    const manifest = parseManifest(root.content, 'test')
    expect(manifest.kind === 'manifest' && manifest.layers).toEqual([
      { mediaType: MEDIA_TYPE.ociLayerGzip, digest: digestOf(one.gzip), size: one.gzip.length },
      { mediaType: MEDIA_TYPE.ociLayerZstd, digest: digestOf(two.zstd), size: two.zstd.length },
    ])
  })

  it('selects by name, takes the only image, and asks when there are several', async () => {
    const [a, b] = [
      await makeImage([await makeLayer('a')]),
      await makeImage([await makeLayer('b')]),
    ]
    const listed = [a, b].map((image, i) => ({
      Config: `${hexOf(image.configDigest)}.json`,
      RepoTags: [i === 0 ? 'app:v1' : 'docker.io/library/app:v2'],
      Layers: image.layers.map(({ diffId }) => `${hexOf(diffId)}.tar`),
    }))
    const files = [a, b].flatMap((image) => [
      [`${hexOf(image.configDigest)}.json`, image.config] as const,
      ...image.layers.map(({ diffId, plain }) => [`${hexOf(diffId)}.tar`, plain] as const),
    ])
    const bytes = await tarOf({ ...Object.fromEntries(files), 'manifest.json': encode(listed) })
    const path = await save('two.tar', bytes)
    expect(await readArchive(`${path}:app:v2`)).toEqual(b.document)
    expect(await readArchive(`${path}:docker.io/library/app:v1`)).toEqual(a.document)
    expect(await codeOf(readArchive(path))).toBe('USAGE')
    expect(await codeOf(readArchive(`${path}:app:v3`))).toBe('NOT_FOUND')
  })

  it('finds out on reading that a plain layer is not the one its config names', async () => {
    const image = await threeLayers()
    const layers = image.layers.with(1, await makeLayer('forged'))
    const path = await save('image.tar', await legacySave({ ...image, layers }, 'app:v1'))
    expect(await codeOf(readImage(await dockerArchive.openSource(path, options)))).toBe('INTEGRITY')
  })

  it('reads ranges', async () => {
    const image = await threeLayers()
    const path = await save('image.tar', await legacySave(image, 'app:v1'))
    const opened = await dockerArchive.openSource(path, options)
    const source = randomAccess(opened)
    await source.resolve(opened.reference)
    const { plain, diffId } = image.layers[0] ?? (await makeLayer(''))
    const descriptor = {
      mediaType: MEDIA_TYPE.ociLayer,
      digest: diffId,
      size: plain.length,
    }
    const stream = await source.fetch(descriptor, { range: { start: 10, end: 600 } })
    expect(Buffer.from(await readAll(stream, 1000, 'range')).equals(plain.subarray(10, 600))).toBe(
      true,
    )
    await source.close?.()
  })

  it.each([
    ['no manifest.json', { a: Buffer.from('x') }, 'NOT_FOUND'],
    ['a manifest.json that is no list', { 'manifest.json': Buffer.from('{}') }, 'INTEGRITY'],
    ['no image', { 'manifest.json': Buffer.from('[]') }, 'NOT_FOUND'],
  ])('refuses an archive with %s', async (_, files, code) => {
    const path = await save('image.tar', await tarOf(files))
    expect(await codeOf(readImage(await dockerArchive.openSource(path, options)))).toBe(code)
  })

  it('says that what its manifest.json names is missing', async () => {
    const { config } = await makeImage([await makeLayer('x')])
    for (const Config of ['none.json', 'c.json']) {
      const listed = encode([{ Config, RepoTags: null, Layers: ['none/layer.tar'] }])
      const path = await save('a.tar', await tarOf({ 'c.json': config, 'manifest.json': listed }))
      expect(await codeOf(readArchive(path))).toBe('INTEGRITY')
      const pipe = await save('a.tar.gz', gzipSync(await readFile(path)))
      expect(await codeOf(readArchive(pipe))).toBe('INTEGRITY')
    }
  })

  it('refuses archives in which two files have one name, or links go round', async () => {
    const twice = Buffer.concat([
      await entry('a', Buffer.from('1')),
      await tarOf({ a: Buffer.from('2') }),
    ])
    const listed = encode([{ Config: 'a', RepoTags: null, Layers: [] }])
    const circle = await tarWithLinks([
      ['a', '-> b'],
      ['b', '-> a'],
      ['manifest.json', listed],
    ])
    for (const bytes of [twice, circle]) {
      expect(await codeOf(readArchive(await save('a.tar', bytes)))).toBe('INTEGRITY')
      expect(await codeOf(readArchive(await save('a.tar.gz', gzipSync(bytes))))).toBe('INTEGRITY')
    }
  })

  it('refuses what is no tar, what is not there, and what is unreadable', async () => {
    const path = await save('image.tar', Buffer.from('hello'.repeat(500)))
    expect(await codeOf(dockerArchive.openSource(path, options))).toBe('INTEGRITY')
    expect(await codeOf(dockerArchive.openSource(join(folder, 'none'), options))).toBe('NOT_FOUND')
    const long = join(folder, 'n'.repeat(300))
    expect(await codeOf(dockerArchive.openSource(long, options))).toBe('INVALID_REFERENCE')
    expect(await codeOf(dockerArchive.openSource(folder, options))).toBe('INVALID_REFERENCE')
    expect(await codeOf(ociArchive.openSource(folder, options))).toBe('INVALID_REFERENCE')
    expect(await codeOf(dockerArchive.openSource('', options))).toBe('USAGE')
    expect(await codeOf(dockerArchive.openSource('file:', options))).toBe('USAGE')
  })
})

describe.each([
  ['docker-archive', dockerArchive],
  ['oci-archive', ociArchive],
] as const)('%s as a target', (transport, module) => {
  async function write(
    image: TestImage,
    text: string,
    sink?: MemorySink,
    signal?: AbortSignal,
  ): Promise<void> {
    const { target, reference } = await module.openTarget(text, options)
    const source = sink ?? new MemorySink(image.config, ...image.layers.map(({ plain }) => plain))
    await streaming(target).receive(image.document, source, reference, { signal })
  }

  it('writes what its source reads back bit for bit', async () => {
    const image = await threeLayers()
    const path = join(folder, 'image.tar')
    await write(image, `${path}:team/app:v1`)
    const opened = await module.openSource(`${path}:team/app:v1`, options)
    expect((await readImage(opened)).root).toEqual(image.document)
  })

  it('writes equal files for equal images, in place of what was there', async () => {
    const image = await threeLayers()
    const [a, b] = [join(folder, 'a.tar'), await save('b.tar', Buffer.from('old'))]
    await write(image, `${a}:app:v1`)
    await write(image, `${b}:app:v1`)
    expect((await readFile(a)).equals(await readFile(b))).toBe(true)
  })

  it('leaves what was there and nothing else when the source fails', async () => {
    const image = await threeLayers()
    const path = await save('image.tar', Buffer.from('old'))
    expect(await codeOf(write(image, path, new MemorySink(image.config)))).toBe('NOT_FOUND')
    expect(await readdir(folder)).toEqual(['image.tar'])
    expect((await readFile(path)).toString()).toBe('old')
  })

  it.skipIf(process.platform === 'win32')(
    'writes to a pipe as it comes what a file would hold, and replaces nothing',
    async () => {
      const image = await threeLayers()
      const [pipe, file] = [join(folder, 'pipe'), join(folder, 'image.tar')]
      execFileSync('mkfifo', [pipe])
      await write(image, `${file}:app:v1`)
      const [read] = await Promise.all([readFile(pipe), write(image, `${pipe}:app:v1`)])
      expect(read.equals(await readFile(file))).toBe(true)
      expect((await lstat(pipe)).isFIFO()).toBe(true)
      expect((await readdir(folder)).toSorted()).toEqual(['image.tar', 'pipe'])
    },
  )

  it.skipIf(process.platform === 'win32')(
    'waits for the reader of a pipe no longer than it is told to',
    async () => {
      const pipe = join(folder, 'pipe')
      execFileSync('mkfifo', [pipe])
      const reason = new Error('enough')
      const abort = new AbortController()
      const writing = write(await threeLayers(), pipe, undefined, abort.signal)
      abort.abort(reason)
      await expect(writing).rejects.toBe(reason)
    },
  )

  it('gives the reason of an abort and leaves nothing', async () => {
    const image = await threeLayers()
    const abort = new AbortController()
    const reason = new Error('enough')
    const sink = new MemorySink(image.config)
    sink.fetch = async () => {
      abort.abort(reason)
      return new Readable({ read() {} })
    }
    await expect(write(image, join(folder, 'image.tar'), sink, abort.signal)).rejects.toBe(reason)
    expect(await readdir(folder)).toEqual([])
  })

  it('refuses a directory or a pipe, which it could not replace', async () => {
    const image = await threeLayers()
    expect(await codeOf(write(image, folder))).toBe('UNSUPPORTED')
    expect(await codeOf(write(image, join(folder, 'no', 'image.tar')))).toBe('NOT_FOUND')
    expect(streaming((await module.openTarget('x', options)).target).name).toBe(`${transport} x`)
  })
})

describe('docker-archive as a target', () => {
  it('keeps gzip layers and decompresses zstd ones, all of their frames', async () => {
    const [one, two] = [await makeLayer('one'), await makeLayer('two', 100_000)]
    const image = await makeImage([one, two])
    const halves = [two.plain.subarray(0, 50_000), two.plain.subarray(50_000)]
    const frames = Buffer.concat(halves.map((half) => zstdCompressSync(half)))
    const document = manifestOver(image.config, [
      [MEDIA_TYPE.ociLayerGzip, one.gzip],
      [MEDIA_TYPE.ociLayerZstd, frames],
    ])
    const path = join(folder, 'image.tar')
    const { target, reference } = await dockerArchive.openTarget(`${path}:app:v1`, options)
    await streaming(target).receive(
      document,
      new MemorySink(image.config, one.gzip, frames),
      reference,
    )
    const { root } = await readImage(await dockerArchive.openSource(path, options))
    const manifest = parseManifest(root.content, 'test')
    expect(successors(manifest).map(({ digest }) => digest)).toEqual([
      image.configDigest,
      digestOf(one.gzip),
      two.diffId,
    ])
  })

  it('refuses a zstd layer that does not hold what the config names', async () => {
    const [one, two] = [await makeLayer('one'), await makeLayer('two')]
    const image = await makeImage([one])
    for (const zstd of [two.zstd, one.zstd.subarray(0, one.zstd.length - 5)]) {
      const document = manifestOver(image.config, [[MEDIA_TYPE.ociLayerZstd, zstd]])
      const { target, reference } = await dockerArchive.openTarget(
        join(folder, 'image.tar'),
        options,
      )
      const receive = streaming(target).receive(
        document,
        new MemorySink(image.config, zstd),
        reference,
      )
      expect(await codeOf(receive)).toBe('INTEGRITY')
    }
    expect(await readdir(folder)).toEqual([])
  })

  it('takes no index and nothing that is not an image', async () => {
    const multi = await makeMultiPlatform()
    const { target, reference } = await dockerArchive.openTarget(join(folder, 'a.tar'), options)
    expect(await streaming(target).acceptsIndex()).toBe(false)
    const sink = new MemorySink(...multi.blobs)
    expect(await codeOf(streaming(target).receive(multi.index, sink, reference))).toBe(
      'UNSUPPORTED',
    )
  })
})

describe('oci-archive as a target', () => {
  it('keeps an index with every platform and attestation', async () => {
    const multi = await makeMultiPlatform()
    const path = join(folder, 'image.tar')
    const { target, reference } = await ociArchive.openTarget(`${path}:app:v1`, options)
    await streaming(target).receive(multi.index, new MemorySink(...multi.blobs), reference)
    const opened = await ociArchive.openSource(path, options)
    const source = randomAccess(opened)
    expect(await source.resolve(opened.reference)).toEqual(multi.index.descriptor)
    for (const blob of multi.blobs) {
      const descriptor = { mediaType: '', digest: digestOf(blob), size: blob.length }
      expect(blob.equals(await readAll(await source.fetch(descriptor), blob.length, 'blob'))).toBe(
        true,
      )
    }
    await source.close?.()
    const [entry] = (await ociIndexOf(path)).manifests
    expect(entry?.annotations).toEqual({
      'io.containerd.image.name': 'docker.io/library/app:v1',
      'org.opencontainers.image.ref.name': 'app:v1',
    })
  })

  it('is read from a pipe like from a file', async () => {
    const multi = await makeMultiPlatform()
    const path = await save(
      'a.tar.gz',
      gzipSync(
        await containerdSave([multi.index.descriptor], multi.blobs, 'docker.io/library/app:v1'),
      ),
    )
    const { source, reference } = await ociArchive.openSource(`${path}:app:v1`, options)
    if (source.kind !== 'streaming') throw new Error('expected a stream')
    const root = await source.transfer(reference, new MemorySink(), { allPlatforms: true })
    expect(root).toEqual(multi.index)
  })
})
