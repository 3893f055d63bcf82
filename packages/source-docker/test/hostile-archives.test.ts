import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { S3loError, type ImageTarget } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import * as dockerArchive from '../src/docker-archive.ts'
import { readSave } from '../src/image/read-save.ts'
import * as ociArchive from '../src/oci-archive.ts'
import * as ociLayout from '../src/oci-layout.ts'
import { StreamReader } from '../src/tar/byte-reader.ts'
import { readTar } from '../src/tar/tar-reader.ts'
import { codeOf } from './code-of.ts'
import { encode, entry, hexOf, layoutIndex, makeImage, makeLayer, tarOf } from './images.ts'
import { withChecksum } from './images.ts'
import { MemorySink } from './memory-sink.ts'
import { readImage } from './read-image.ts'

const MIB = 1024 * 1024
const options = { env: {} }

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-hostile-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** An extended header of one kind with the content. */
async function extended(typeFlag: string, content: Buffer): Promise<Buffer> {
  const bytes = Buffer.from(await entry('extended', content))
  bytes.write(typeFlag, 156)
  withChecksum(bytes.subarray(0, 512))
  return bytes
}

/** The same pieces again and again, and how many bytes of them were asked for. */
function endless(...pieces: readonly Buffer[]) {
  const asked = { bytes: 0 }
  async function* repeat(): AsyncGenerator<Buffer> {
    for (;;) {
      for (const piece of pieces) {
        asked.bytes += piece.length
        yield piece
      }
    }
  }
  return { asked, reader: new StreamReader(repeat(), 'endless.tar') }
}

async function listAll(reader: StreamReader): Promise<void> {
  for await (const _ of readTar(reader, 'endless.tar')) {
    // Only what it takes to get here counts.
  }
}

describe('metadata of an archive', () => {
  const records = Buffer.from('6 a=b\n'.repeat(MIB / 6))

  it.each(['x', 'g', 'L', 'K'])('of kind %s is bounded in its sum', async (typeFlag) => {
    const { asked, reader } = endless(
      await extended(typeFlag, records),
      await entry('a', Buffer.alloc(0)),
    )
    expect(await codeOf(listAll(reader))).toBe('INTEGRITY')
    expect(asked.bytes).toBeLessThan(20 * MIB)
  })

  it('has few headers before each entry', async () => {
    const { asked, reader } = endless(await extended('g', Buffer.from('6 a=b\n')))
    expect(await codeOf(listAll(reader))).toBe('INTEGRITY')
    expect(asked.bytes).toBeLessThan(MIB)
  })

  it('of before Docker 1.10 is not decompressed without end', async () => {
    const header = (await entry('repositories', Buffer.alloc(0))).subarray(0, 512)
    const large = Buffer.from(header)
    large.write(`${(1e10).toString(8).padStart(11, '0')}\0`, 124)
    withChecksum(large)
    const { asked, reader } = endless(large, Buffer.alloc(MIB))
    const read = readSave(reader, new MemorySink(), { archive: 'a', format: 'docker' })
    expect(await codeOf(read)).toBe('INTEGRITY')
    expect(asked.bytes).toBeLessThan(4 * MIB)
  })

  it('names no more layers than the config, and they are not looked for', async () => {
    const image = await makeImage([await makeLayer('one')])
    const layers = Array.from({ length: 300_000 }, () => 'l')
    const listed = encode([{ Config: 'c.json', RepoTags: ['a:v1'], Layers: layers }])
    const path = join(folder, 'many.tar')
    await writeFile(path, await tarOf({ 'manifest.json': listed, 'c.json': image.config }))
    expect(await codeOf(readImage(await dockerArchive.openSource(path, options)))).toBe('INTEGRITY')
  })
})

describe('an archive that is compressed as a whole', () => {
  it.each([
    ['xz', 'fd377a585a00'],
    ['bzip2', '425a6839'],
    ['lz4', '04224d18'],
    ['lzip', '4c5a4950'],
    ['lzma', '5d000080'],
    ['compress', '1f9d90'],
  ])('with %s is named as such', async (form, magic) => {
    const path = join(folder, 'image.tar.z')
    await writeFile(path, Buffer.concat([Buffer.from(magic, 'hex'), Buffer.alloc(600, 7)]))
    for (const { openSource } of [dockerArchive, ociArchive]) {
      const error = await openSource(path, options).then(
        () => undefined,
        (caught: unknown) => caught as S3loError,
      )
      expect(error).toMatchObject({ code: 'UNSUPPORTED' })
      expect(error?.message).toContain(`compressed with ${form}`)
    }
  })
})

describe.skipIf(process.platform === 'win32')('what is no regular file', () => {
  const image = (async () => makeImage([await makeLayer('x')]))()

  async function writeLayout(index?: Buffer): Promise<string> {
    const root = join(folder, 'layout')
    await mkdir(join(root, 'blobs/sha256'), { recursive: true })
    await writeFile(join(root, 'oci-layout'), encode({ imageLayoutVersion: '1.0.0' }))
    if (index) await writeFile(join(root, 'index.json'), index)
    return root
  }

  function readLayout(root: string): Promise<unknown> {
    return ociLayout.openSource(root, options).then(readImage)
  }

  it('is not waited for as index.json of a layout', async () => {
    const root = await writeLayout()
    execFileSync('mkfifo', [join(root, 'index.json')])
    expect(await codeOf(readLayout(root))).toBe('IO')
  })

  it('is not waited for as a blob of a layout, read or written', async () => {
    const { document } = await image
    const root = await writeLayout(layoutIndex([document.descriptor], 'a:v1'))
    execFileSync('mkfifo', [join(root, 'blobs/sha256', hexOf(document.descriptor.digest))])
    expect(await codeOf(readLayout(root))).toBe('IO')
    const { target } = await ociLayout.openTarget(root, options)
    expect(await codeOf((target as ImageTarget).begin().has(document.descriptor))).toBe('IO')
  })

  it('is refused where it is a folder', async () => {
    const { document } = await image
    const root = await writeLayout(layoutIndex([document.descriptor], 'a:v1'))
    await mkdir(join(root, 'blobs/sha256', hexOf(document.descriptor.digest)))
    expect(await codeOf(readLayout(root))).toBe('IO')
  })

  it('is refused where it is a device', async () => {
    for (const { openSource } of [dockerArchive, ociArchive]) {
      expect(await codeOf(openSource('/dev/zero', options))).toBe('INVALID_REFERENCE')
      expect(await codeOf(openSource(folder, options))).toBe('INVALID_REFERENCE')
    }
  })

  it('can be a pipe as an archive, and waiting for its writer ends with the signal', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const { source, reference } = await dockerArchive.openSource(pipe, options)
    if (source.kind !== 'streaming') throw new Error('expected a stream')
    const controller = new AbortController()
    const reading = source.transfer(reference, new MemorySink(), { signal: controller.signal })
    controller.abort(new S3loError('ABORTED', 'stopped'))
    expect(await codeOf(reading)).toBe('ABORTED')
  })

  it.runIf(process.platform === 'linux')('ends where a layout cannot be made', async () => {
    const { config, configDigest } = await image
    const { target } = await ociLayout.openTarget('/proc/s3lo', options)
    const descriptor = { mediaType: '', digest: configDigest, size: config.length }
    const push = (target as ImageTarget)
      .begin()
      .put(descriptor, async () => Readable.from([config]))
    expect(await codeOf(push)).toBe('NOT_FOUND')
  })

  it('leaves nothing behind when a folder is in the way of an archive', async () => {
    const path = join(folder, 'archive')
    await mkdir(path)
    const { document, config } = await image
    for (const { openTarget } of [dockerArchive, ociArchive]) {
      const { target, reference } = await openTarget(path, options)
      if (target.kind !== 'streaming') throw new Error('expected a stream')
      const received = target.receive(document, new MemorySink(config), reference)
      expect(await codeOf(received)).toBe('UNSUPPORTED')
    }
    expect(await readdir(folder)).toEqual(['archive'])
  })
})

describe('a bomb', () => {
  it('of zeros where an archive should be ends after its first block', async () => {
    const path = join(folder, 'zeros.tar.gz')
    await writeFile(path, gzipSync(Buffer.alloc(64 * MIB)))
    for (const { openSource } of [dockerArchive, ociArchive]) {
      expect(await codeOf(openSource(path, options).then(readImage))).toBe('INTEGRITY')
    }
  })
})
