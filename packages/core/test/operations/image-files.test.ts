import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import {
  imageFixture,
  indexFixture,
  MemoryBackend,
  padTar,
  putImage,
  TAR_END,
  type TarFields,
  tarFile,
  tarHeader,
  tarPax,
} from '../../src/testing/index.ts'
import { type CatResult, cat } from '../../src/operations/cat.ts'
import { files } from '../../src/operations/files.ts'
import type { ImageFilesOptions } from '../../src/operations/image-files.ts'
import { ImageStore } from '../../src/store/image-store.ts'

const REFERENCE = { name: 'app', tag: 'v1' }

const dir = (name: string, fields: TarFields = {}): Buffer =>
  tarHeader(name, { type: '5', mode: 0o755, ...fields })
const symlink = (name: string, link: string): Buffer => tarHeader(name, { type: '2', link })
const hardlink = (name: string, link: string): Buffer => tarHeader(name, { type: '1', link })
const tar = (...parts: readonly Buffer[]): Buffer => Buffer.concat([...parts, TAR_END])

/** Layers from the bottom up. */
async function imageOf(...layers: readonly Uint8Array[]): Promise<ImageStore> {
  const backend = new MemoryBackend()
  await putImage(backend, REFERENCE, imageFixture({ layers }))
  store = new ImageStore(backend)
  return store
}

let store: ImageStore | undefined
afterEach(async () => {
  await store?.close()
})

interface Read extends CatResult {
  readonly content: string
}

async function read(image: ImageStore, path: string, options?: ImageFilesOptions): Promise<Read> {
  const chunks: Uint8Array[] = []
  const result = await cat(
    image,
    REFERENCE,
    path,
    async (content) => {
      for await (const chunk of content) chunks.push(chunk)
    },
    { platform: 'linux/amd64', ...options },
  )
  return { ...result, content: Buffer.concat(chunks).toString() }
}

async function contentOf(image: ImageStore, path: string): Promise<string> {
  return (await read(image, path)).content
}

async function namesIn(image: ImageStore, path: string): Promise<readonly string[]> {
  return (await files(image, REFERENCE, path)).map((file) => file.path)
}

describe('the files of an image', () => {
  it('are those of the topmost layer that has them', async () => {
    const image = await imageOf(
      tar(tarFile('etc/a', 'old'), tarFile('etc/b', 'b')),
      tar(tarFile('etc/a', 'new')),
    )
    expect(await contentOf(image, '/etc/a')).toBe('new')
    expect(await contentOf(image, 'etc/b')).toBe('b')
    expect(await namesIn(image, '/etc')).toEqual(['/etc/a', '/etc/b'])
  })

  it.each(['etc/a', '/etc/a', './etc/a', '//etc//a', '/x/../etc/./a', '/../etc/a'])(
    'are found by any spelling: %s',
    async (path) => {
      const image = await imageOf(tar(dir('./'), dir('./x/'), tarFile('./etc/a', 'a')))
      expect(await contentOf(image, path)).toBe('a')
    },
  )

  it('are gone when an upper layer removes them or a directory that they are in', async () => {
    const image = await imageOf(
      tar(tarFile('a', ''), tarFile('d/b', ''), tarFile('d/c/e', '')),
      tar(tarFile('.wh.a', ''), tarFile('d/.wh.c', '')),
    )
    for (const path of ['/a', '/d/c/e', '/.wh.a', '/d/.wh.c']) {
      await expect(read(image, path)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
    expect(await namesIn(image, '/')).toEqual(['/d'])
    expect(await namesIn(image, '/d')).toEqual(['/d/b'])
  })

  it('are there when the layer that removes them brings them again, in either order', async () => {
    const image = await imageOf(
      tar(tarFile('a', 'old'), tarFile('b', 'old'), tarFile('d/old', '')),
      tar(
        tarFile('a', 'new'),
        tarFile('.wh.a', ''),
        tarFile('.wh.b', ''),
        tarFile('b', 'new'),
        tarFile('.wh.d', ''),
        tarFile('d/new', ''),
      ),
    )
    expect(await contentOf(image, '/a')).toBe('new')
    expect(await contentOf(image, '/b')).toBe('new')
    expect(await namesIn(image, '/d')).toEqual(['/d/new'])
  })

  it('of lower layers are hidden by an opaque directory, at every level and at the root', async () => {
    const bottom = tar(tarFile('d/x/old', ''), tarFile('d/old', ''), tarFile('e', ''))
    const opaque = await imageOf(bottom, tar(tarFile('d/.wh..wh..opq', ''), tarFile('d/x/new', '')))
    expect(await namesIn(opaque, '/d')).toEqual(['/d/x'])
    expect(await namesIn(opaque, '/d/x')).toEqual(['/d/x/new'])
    expect(await namesIn(opaque, '/')).toEqual(['/d', '/e'])
    const all = await imageOf(bottom, tar(tarFile('.wh..wh..opq', ''), tarFile('new', '')))
    expect(await namesIn(all, '/')).toEqual(['/new'])
    await expect(read(all, '/e')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('are hidden by a file that an upper layer has in place of their directory', async () => {
    const image = await imageOf(
      tar(tarFile('d/a', 'a')),
      tar(tarFile('d', 'file')),
      tar(tarFile('d/b', 'b')),
    )
    await expect(read(image, '/d/a')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await namesIn(image, '/d')).toEqual(['/d/b'])
  })

  it('are reached through links in any component, also across layers', async () => {
    const image = await imageOf(
      tar(symlink('bin', 'usr/bin'), symlink('lib', '/usr/lib'), tarFile('usr/bin/tool', 'tool')),
      tar(symlink('usr/bin/sh', '../lib/../bin/tool'), dir('usr/lib/'), symlink('v', 'bin/sh')),
    )
    expect(await contentOf(image, '/bin/tool')).toBe('tool')
    expect(await read(image, '/v')).toMatchObject({ path: '/usr/bin/tool', content: 'tool' })
    expect(await contentOf(image, '/lib/../bin/sh')).toBe('tool')
  })

  it('are not found behind links in a circle or out of the image', async () => {
    const image = await imageOf(
      tar(
        symlink('a', 'b'),
        symlink('b', 'a'),
        symlink('up', '../../../etc/x'),
        tarFile('etc/x', 'x'),
      ),
    )
    await expect(read(image, '/a')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await contentOf(image, '/up')).toBe('x')
  })

  it('have the content of the file that they are hard links to, counted from the root', async () => {
    const image = await imageOf(
      tar(
        tarFile('usr/bin/a', 'a'),
        hardlink('usr/lib/b', 'usr/bin/a'),
        tarFile('usr/bin/a', 'new'),
      ),
      tar(hardlink('c', './usr/lib/b')),
    )
    expect(await contentOf(image, '/usr/lib/b')).toBe('a')
    expect(await contentOf(image, '/usr/bin/a')).toBe('new')
    expect(await contentOf(image, '/c')).toBe('a')
  })

  it('are the last of several in one layer', async () => {
    const image = await imageOf(
      tar(tarFile('a', 'first'), tarFile('a', 'last'), tarFile('./a', 'very last')),
    )
    expect(await contentOf(image, '/a')).toBe('very last')
  })

  it('lie where links of their own layer lead', async () => {
    const image = await imageOf(
      tar(symlink('bin', 'usr/bin'), dir('usr/bin/'), tarFile('bin/x', 'x')),
    )
    expect(await read(image, '/usr/bin/x')).toMatchObject({ content: 'x', path: '/usr/bin/x' })
  })

  it('have long names of either kind', async () => {
    const long = 'd/'.repeat(80) + 'name'
    const gnu = Buffer.concat([
      tarHeader('././@LongLink', { type: 'L', size: long.length + 3 }),
      padTar(Buffer.from(`${long}-g\0`)),
    ])
    const image = await imageOf(
      tar(tarPax({ path: `${long}-ü` }), tarFile('x', 'p'), gnu, tarFile('y', 'g')),
    )
    expect(await contentOf(image, `${long}-ü`)).toBe('p')
    expect(await contentOf(image, `${long}-g`)).toBe('g')
  })

  it('are refused where they are sparse, a directory or a device; the others are not', async () => {
    const map = Buffer.alloc(512)
    const old = tarHeader('old', { type: 'S', size: 4 })
    old[482] = 1
    old.write('        ', 148)
    old.write(
      `${old
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    )
    const image = await imageOf(
      tar(
        tarHeader('pax_global_header', { type: 'g', size: 11 }),
        padTar(Buffer.from('11 comment=')),
        old,
        map,
        padTar(Buffer.from('data')),
        tarPax({ 'GNU.sparse.major': '1', 'GNU.sparse.name': 'new' }),
        tarFile('GNUSparseFile.0/new', 'map'),
        tarHeader('null', { type: '3', major: 1, minor: 3 }),
        tarFile('after', 'after'),
      ),
    )
    for (const path of ['/old', '/new', '/null', '/']) {
      await expect(read(image, path)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    }
    expect(await contentOf(image, '/after')).toBe('after')
  })

  it.each([
    ['gzip', gzipSync],
    [
      'gzip in several members',
      (tarred: Buffer) =>
        Buffer.concat([gzipSync(tarred.subarray(0, 700)), gzipSync(tarred.subarray(700))]),
    ],
    ['zstd', zstdCompressSync],
    ['plain', (tarred: Buffer) => tarred],
  ])('are read from layers in %s', async (_, compress) => {
    const big = Buffer.alloc(9 * 1024 * 1024, 'big')
    const image = await imageOf(compress(tar(tarFile('big', big), tarFile('a', 'a'))))
    expect(await contentOf(image, '/a')).toBe('a')
    expect(await contentOf(image, '/big')).toBe(big.toString())
  })

  it('are read again when they were not kept, and no more of the layer than up to their end', async () => {
    const random = Buffer.from(
      Array.from({ length: 3_000_000 }, (_, i) => (i * i * 31 + (i >> 7)) & 0xff),
    )
    const layer = tar(symlink('link', 'file'), tarFile('file', 'content'), tarFile('rest', random))
    const image = await imageOf(layer)
    const direct = await read(image, '/file')
    expect(direct.fetched_bytes).toBe(layer.length)
    const linked = await read(image, '/link')
    expect(linked.content).toBe('content')
    expect(linked.fetched_bytes).toBeLessThan(layer.length * 1.8)
    expect(linked.layers_bytes).toBe(layer.length)
  })

  it('are not looked for below the layer that has them', async () => {
    const bottom = tar(tarFile('b', 'b'))
    const top = tar(tarFile('a', 'a'))
    const image = await imageOf(bottom, top)
    expect((await read(image, '/a')).fetched_bytes).toBe(top.length)
    expect((await read(image, '/b')).fetched_bytes).toBe(top.length + bottom.length)
  })

  it('are those of the platform that is asked for', async () => {
    const backend = new MemoryBackend()
    const amd = imageFixture({ layers: [tar(tarFile('a', 'amd'))], platform: 'linux/amd64' })
    const arm = imageFixture({ layers: [tar(tarFile('a', 'arm'))], platform: 'linux/arm64' })
    await putImage(backend, REFERENCE, indexFixture({ 'linux/amd64': amd, 'linux/arm64': arm }))
    const image = new ImageStore(backend)
    expect((await read(image, '/a', { platform: 'linux/arm64' })).content).toBe('arm')
    await expect(read(image, '/a', { platform: 'linux/s390x' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('are listed with what they are', async () => {
    const image = await imageOf(
      tar(dir('d/', { mode: 0o1777, mtime: 1 }), tarFile('d/f', 'four', { uid: 5, gid: 6 })),
      tar(symlink('d/l', 'f'), tarFile('d/sub/x', '')),
    )
    const listed = await files(image, REFERENCE, 'd')
    expect(listed).toMatchObject([
      { path: '/d/f', type: 'file', size: 4, mode: '0644', uid: 5, gid: 6 },
      { path: '/d/l', type: 'symlink', size: 0, target: 'f' },
      { path: '/d/sub', type: 'directory', mode: '0755' },
    ])
    expect(await files(image, REFERENCE)).toMatchObject([
      { path: '/d', mode: '1777', modified_at: '1970-01-01T00:00:01Z' },
    ])
    expect(await namesIn(image, '/d/l')).toEqual(['/d/f'])
    await expect(files(image, REFERENCE, '/d/f/')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    ['no tar', Buffer.alloc(2048, 1)],
    ['cut off', gzipSync(tar(tarFile('a', 'a'))).subarray(0, 40)],
    ['cut off in a file', tarFile('a', Buffer.alloc(2000)).subarray(0, 1200)],
    ['damaged', gzipSync(tar(tarFile('a', 'a'))).fill(0xff, 20, 40)],
    [
      'a flood of directories',
      gzipSync(
        tar(
          ...Array.from({ length: 1100 }, (_, i) => {
            const body = Buffer.from(`${i}/${'a/'.repeat(1000)}x\0`)
            return Buffer.concat([
              tarHeader('@', { type: 'L', size: body.length }),
              padTar(body),
              tarFile('x', ''),
            ])
          }),
        ),
        { level: constants.Z_BEST_SPEED },
      ),
    ],
  ])('of a layer that is %s are refused', async (_, layer) => {
    const image = await imageOf(layer)
    await expect(read(image, '/a')).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('are read when the reader stops early, without a failure of the rest', async () => {
    const image = await imageOf(tar(tarFile('a', Buffer.alloc(9_000_000))))
    let taken = 0
    const stop = async (content: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const chunk of content) {
        taken += chunk.length
        break
      }
    }
    await cat(image, REFERENCE, 'a', stop, { platform: 'linux/amd64' })
    expect(taken).toBeGreaterThan(0)
  })
})
