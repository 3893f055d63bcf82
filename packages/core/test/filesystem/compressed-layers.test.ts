import { randomBytes } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { streamLayer } from '../../src/filesystem/stream-layer.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { cat } from '../../src/operations/cat.ts'
import { files } from '../../src/operations/files.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { imageFixture, MemoryBackend, putImage, TAR_END, tarFile } from '../../src/testing/index.ts'

const REFERENCE = { name: 'app', tag: 'v1' }

const tar = (...parts: readonly Buffer[]): Buffer => Buffer.concat([...parts, TAR_END])

const zeros = (length: number): Buffer => Buffer.alloc(length)

/** A frame of `length` bytes that holds nothing for a reader (RFC 8878, section 3.1.2). */
function skippable(length: number): Buffer {
  const frame = Buffer.alloc(length)
  frame.writeUInt32LE(0x184d2a50)
  frame.writeUInt32LE(length - 8, 4)
  return frame
}

async function contentOf(store: ImageStore, path: string): Promise<string> {
  const chunks: Uint8Array[] = []
  await cat(
    store,
    REFERENCE,
    path,
    async (content) => {
      for await (const chunk of content) chunks.push(chunk)
    },
    { platform: 'linux/amd64' },
  )
  return Buffer.concat(chunks).toString()
}

describe('a compressed layer', () => {
  const size = 3_000_000
  const genuine = tar(tarFile('etc/passwd', 'good'), tarFile('pad', randomBytes(size)))
  const evil = tar(tarFile('etc/passwd', 'EVIL'))

  it.each([
    ['zeros behind a gzip', gzipSync(genuine), gzipSync(evil), zeros],
    [
      'a frame to be skipped behind a zstd',
      zstdCompressSync(genuine),
      zstdCompressSync(evil),
      skippable,
    ],
    ['bytes behind a zstd', zstdCompressSync(genuine), zstdCompressSync(evil), zeros],
  ])('that was replaced by another with %s is refused', async (_, layer, other, fill) => {
    const backend = new MemoryBackend()
    await putImage(backend, REFERENCE, imageFixture({ layers: [layer] }))
    const forged = Buffer.concat([other, fill(layer.length - other.length)])
    expect(forged).toHaveLength(layer.length)
    await backend.put(blobKey(digestOf(layer)), forged)
    const store = new ImageStore(backend)
    await expect(contentOf(store, '/etc/passwd')).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(files(store, REFERENCE, '/etc')).rejects.toMatchObject({ code: 'INTEGRITY' })
    await store.close()
  })

  it.each([
    ['gzip', gzipSync(genuine)],
    ['zstd', zstdCompressSync(genuine)],
  ])('in %s is not read to its end for a file at its beginning', async (_, layer) => {
    const backend = new MemoryBackend()
    const descriptor = {
      mediaType: MEDIA_TYPE.ociLayerGzip,
      digest: digestOf(layer),
      size: layer.length,
    }
    await putImage(backend, REFERENCE, imageFixture({ layers: [layer] }))
    const store = new ImageStore(backend)
    let read = 0
    const source = {
      name: 'counted',
      fetch: async (...args: Parameters<ImageStore['fetch']>) => {
        const stream = await store.fetch(...args)
        return stream.on('data', (chunk: Buffer) => (read += chunk.length)).pause()
      },
    }
    const opened = await streamLayer(source, descriptor)
    expect(read).toBe(layer.length)
    const content = await Array.fromAsync(opened.read(opened.entries[0]!))
    expect(Buffer.concat(content).toString()).toBe('good')
    expect(read - layer.length).toBeLessThan(layer.length * 0.7)
    await store.close()
  })

  it('in several zstd frames takes away in one of them what the layer below has', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `d/${i}`)
    const members = [tarFile('a', 'a'), tarFile('.wh.gone', ''), ...names.map((n) => tarFile(n, n))]
    const frames = members.map((member) => zstdCompressSync(member))
    const backend = new MemoryBackend()
    const below = tar(tarFile('gone', 'gone'), tarFile('stays', 'stays'))
    const layer = Buffer.concat([skippable(20), ...frames, zstdCompressSync(TAR_END)])
    await putImage(backend, REFERENCE, imageFixture({ layers: [below, layer] }))
    const store = new ImageStore(backend)
    await expect(contentOf(store, '/gone')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await contentOf(store, '/stays')).toBe('stays')
    expect(await contentOf(store, '/d/39')).toBe('d/39')
    expect(await files(store, REFERENCE, '/d')).toHaveLength(40)
    await store.close()
  })
})
