import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { readAll } from '@s3lo/core'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileReader, StreamReader } from '../src/tar/byte-reader.ts'
import { formatFileHeader } from '../src/tar/header.ts'
import { readTar, type TarEntry } from '../src/tar/tar-reader.ts'
import { inMemory, writeTar } from '../src/tar/tar-writer.ts'
import { collect, entry, tarOf, tarWithLinks, withChecksum } from './images.ts'
import { codeOf } from './code-of.ts'

const end = Buffer.alloc(1024)

function streamOf(bytes: Buffer, step = 65536): StreamReader {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
  }
  return new StreamReader(pieces(), 'test.tar')
}

async function readStream(bytes: Buffer, step?: number): Promise<Map<string, string>> {
  const reader = streamOf(bytes, step)
  const found = new Map<string, string>()
  for await (const member of readTar(reader, 'test.tar')) {
    if (member.type !== 'file') continue
    const content = await readAll(reader.content(member.size), member.size, member.name)
    found.set(member.name, Buffer.from(content).toString())
  }
  return found
}

async function listStream(bytes: Buffer): Promise<readonly TarEntry[]> {
  return list(readTar(streamOf(bytes), 'test.tar'))
}

async function list(entries: AsyncIterable<TarEntry>): Promise<readonly TarEntry[]> {
  const found: TarEntry[] = []
  for await (const member of entries) found.push(member)
  return found
}

/** One header with fields changed, and no content. */
async function member(name: string, change: (header: Buffer) => void): Promise<Buffer> {
  const header = Buffer.from(await entry(name, new Uint8Array()))
  change(header.subarray(header.length - 512))
  return Buffer.concat([withChecksum(header), end])
}

describe('tar', () => {
  it('reads what it wrote, with names and sizes of all kinds', async () => {
    const names = fc.stringMatching(/^[a-zA-Z0-9é_-]{1,60}(\/[a-z0-9._-]{1,120}){0,3}$/)
    const plain = names.filter(
      (name) => !name.split('/').some((part) => part === '.' || part === '..'),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(plain, fc.string({ maxLength: 1500 }), { maxKeys: 6 }),
        fc.integer({ min: 1, max: 2000 }),
        async (files, step) => {
          const contents = Object.fromEntries(
            Object.entries(files).map(([name, text]) => [name, Buffer.from(text)]),
          )
          const found = await readStream(await tarOf(contents), step)
          expect(Object.fromEntries(found)).toEqual(
            Object.fromEntries(
              Object.entries(contents).map(([name, bytes]) => [name, bytes.toString()]),
            ),
          )
        },
      ),
      { numRuns: 60 },
    )
  })

  it('never hangs or fails with anything but our errors on damaged archives', async () => {
    const whole = await tarOf({
      'a/b': Buffer.from('hello'),
      ['x'.repeat(180)]: Buffer.alloc(700),
    })
    const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(flips, fc.nat(whole.length), async (changes, cut) => {
        const damaged = Buffer.from(whole.subarray(0, cut))
        for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value
        expect(await codeOf(readStream(damaged))).toMatch(/^(none|INTEGRITY|UNSUPPORTED)$/)
      }),
      { numRuns: 200 },
    )
  })

  it('gives equal bytes for equal files', async () => {
    const files = { a: Buffer.from('1'), b: Buffer.from('2') }
    expect((await tarOf(files)).equals(await tarOf(files))).toBe(true)
  })

  it('writes sizes of 8 GiB and more so that they are read back', async () => {
    const size = 9 * 1024 ** 3
    const reader = streamOf(formatFileHeader('big', size))
    const first = await readTar(reader, 'test.tar').next()
    expect(first.value).toMatchObject({ type: 'file', name: 'big', size })
  })

  it('reads sizes in base 256', async () => {
    const size = 2 ** 33
    const bytes = await member('big', (header) => {
      header.fill(0, 124, 136)
      header[124] = 0x80
      header.writeBigUInt64BE(BigInt(size), 128)
    })
    const first = await readTar(streamOf(bytes), 'test.tar').next()
    expect(first.value).toMatchObject({ size })
  })

  it('reads GNU long names and long link targets', async () => {
    const long = `${'d/'.repeat(90)}name`
    const name = Buffer.from(await entry('././@LongLink', Buffer.from(`${long}\0`)))
    name.write('L', 156)
    withChecksum(name.subarray(0, 512))
    const bytes = Buffer.concat([name, await entry('short', Buffer.from('x')), end])
    expect([...(await readStream(bytes)).keys()]).toEqual([long])
  })

  it('refuses a write whose content has another length than announced', async () => {
    for (const size of [1, 9]) {
      expect(
        await codeOf(collect(writeTar([{ ...inMemory('a', Buffer.from('four')), size }]))),
      ).toBe('INTEGRITY')
    }
  })

  it.each(['../etc/passwd', 'a/../../b', '/etc/passwd', 'a\\b'])(
    'refuses the name %s',
    async (name) => {
      expect(await codeOf(listStream(await tarOf({ [name]: Buffer.from('x') })))).toBe('INTEGRITY')
    },
  )

  it.each(['-> ../../out', '-> /etc/passwd', '=> ../x'])('refuses the link %s', async (target) => {
    expect(await codeOf(listStream(await tarWithLinks([['dir/link', target]])))).toBe('INTEGRITY')
  })

  it.each(['3', '4', '6', 'Z'])('refuses an entry of type %s', async (type) => {
    const bytes = await member('thing', (header) => header.write(type, 156))
    expect(await codeOf(listStream(bytes))).toBe('INTEGRITY')
  })

  it('refuses a size that is negative, endless, or no number', async () => {
    for (const field of [Buffer.alloc(12, 0xff), Buffer.from('99999999999\0')]) {
      const bytes = await member('a', (header) => field.copy(header, 124))
      expect(await codeOf(listStream(bytes))).toBe('INTEGRITY')
    }
  })

  it('refuses an extended header of more than a megabyte', async () => {
    const bytes = await member('a', (header) => {
      header.write('x', 156)
      header.write('00077777777\0', 124)
    })
    expect(await codeOf(listStream(bytes))).toBe('INTEGRITY')
  })

  it.each(['6 path', '0 path=x\n', '99 path=x\n', 'path=x\n', '9 path=\u0000\n'])(
    'refuses the extended header %j',
    async (record) => {
      const pax = Buffer.from(await entry('pax', Buffer.from(record)))
      pax.write('x', 156)
      withChecksum(pax.subarray(0, 512))
      const bytes = Buffer.concat([pax, await entry('a', Buffer.from('x')), end])
      expect(await codeOf(listStream(bytes))).toBe('INTEGRITY')
    },
  )

  it('refuses sparse files, whose content is not where it seems', async () => {
    const pax = Buffer.from(await entry('pax', Buffer.from('22 GNU.sparse.major=1\n')))
    pax.write('x', 156)
    withChecksum(pax.subarray(0, 512))
    const bytes = Buffer.concat([pax, await entry('a', Buffer.from('x')), end])
    expect(await codeOf(listStream(bytes))).toBe('UNSUPPORTED')
  })

  it('refuses an archive that ends inside a file, streamed or on disk', async () => {
    const cut = (await tarOf({ a: Buffer.alloc(4096) })).subarray(0, 2048)
    expect(await codeOf(readStream(cut))).toBe('INTEGRITY')
    expect(await codeOf(listStream(cut))).toBe('INTEGRITY')
  })

  it('accepts an archive without the blocks that end it', async () => {
    const bytes = await entry('a', Buffer.from('x'))
    expect([...(await readStream(bytes)).keys()]).toEqual(['a'])
  })

  it('refuses an empty input', async () => {
    expect(await codeOf(listStream(Buffer.alloc(0)))).toBe('INTEGRITY')
  })
})

describe('a tar on disk', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 's3lo-tar-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('is read alike by position and in order', async () => {
    const bytes = await tarOf({
      a: Buffer.from('first'),
      b: Buffer.alloc(5000, 1),
      c: Buffer.from(''),
    })
    const path = join(folder, 'test.tar')
    await writeFile(path, bytes)
    const handle = await open(path)
    const reader = new FileReader(handle, bytes.length, path)
    const found = await list(readTar(reader, path))
    await handle.close()
    expect(found).toEqual(await listStream(bytes))
  })

  it('says so when it is cut off', async () => {
    const bytes = (await tarOf({ a: Buffer.alloc(4096) })).subarray(0, 1024)
    const path = join(folder, 'test.tar')
    await writeFile(path, bytes)
    const handle = await open(path)
    const reader = new FileReader(handle, bytes.length, path)
    expect(await codeOf(list(readTar(reader, path)))).toBe('INTEGRITY')
    await handle.close()
  })
})

it('lets go of a stream that is not read to its end', async () => {
  const source = Readable.from([await tarOf({ a: Buffer.alloc(100_000), b: Buffer.from('later') })])
  const reader = new StreamReader(source as AsyncIterable<Buffer>, 'test.tar')
  const names: string[] = []
  for await (const { name } of readTar(reader, 'test.tar')) names.push(name)
  expect(names).toEqual(['a', 'b'])
})
