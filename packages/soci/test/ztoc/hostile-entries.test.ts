import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import type { TocEntry } from '@s3lo/core/tar'
import { extractEntry, type ExtractOptions, type FetchRange } from '../../src/ztoc/extract.ts'
import { decodeZtoc, encodeZtoc, type Ztoc } from '../../src/ztoc/flatbuffer.ts'
import { findEntry, openZtoc } from '../../src/ztoc/read.ts'
import { ZtocBuilder } from '../../src/ztoc/ztoc-builder.ts'
import { END, file, layerOf } from './tar-fixture.ts'

const tar = Buffer.concat([file('etc/passwd', 'root:x:0:0'), file('home/note', 'evil::0:0:'), END])

function ztocOf(layer: Buffer): Ztoc {
  const builder = new ZtocBuilder({ spanSize: 1024 })
  builder.push(layer)
  return decodeZtoc(builder.finish().content)
}

/** What a forged zTOC makes of a genuine layer. */
async function read(
  layer: Buffer,
  ztoc: Ztoc,
  name: string,
  options?: ExtractOptions,
): Promise<string> {
  const opened = openZtoc(decodeZtoc(encodeZtoc(ztoc)))
  const entry = findEntry(opened, name)
  if (!entry) throw new Error(`${name} is not there`)
  const content = extractEntry(
    opened,
    entry,
    async ({ start, end }) => Readable.from([layer.subarray(start, end)]),
    options,
  )
  return Buffer.concat(await Array.fromAsync(content)).toString()
}

describe.each([
  ['a plain tar', tar],
  ['a gzip', layerOf(tar)],
])('a zTOC of %s', (_, layer) => {
  const ztoc = ztocOf(layer)
  const [passwd, note] = ztoc.entries as [TocEntry, TocEntry]

  test('gives what its entries name', async () => {
    expect(await read(layer, ztoc, 'etc/passwd')).toBe('root:x:0:0')
  })

  test('cannot hide a header behind an entry that ends where the content begins', async () => {
    const hider: TocEntry = {
      ...passwd,
      name: note.name,
      type: 'dir',
      offset: 0,
      size: note.offset,
    }
    const lie = { ...passwd, offset: note.offset, size: note.size }
    const entries = [hider, lie]
    await expect(read(layer, { ...ztoc, entries }, 'etc/passwd')).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  test('cannot name content in the middle of a file, right behind its beginning', async () => {
    const entries = [{ ...passwd, offset: 0 }]
    await expect(read(layer, { ...ztoc, entries }, 'etc/passwd')).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  test.each([
    ['past the layer', { offset: 50_000 }],
    ['partly past the layer', { size: 100_000 }],
  ])('cannot name content that lies %s', async (__, change) => {
    const entries = [passwd, { ...note, ...change }]
    const lie = { ...ztoc, uncompressedSize: 1_000_000, entries }
    for (const verifyHeaders of [true, false]) {
      await expect(read(layer, lie, 'home/note', { verifyHeaders })).rejects.toMatchObject({
        code: 'INTEGRITY',
      })
    }
  })

  test('cannot leave spans out that hold the rest of a file', async () => {
    const big = Buffer.concat([file('big', Buffer.alloc(5000, 'x')), END])
    const content = layer === tar ? big : layerOf(big)
    const whole = ztocOf(content)
    const opened = openZtoc(whole)
    const [entry] = opened.entries
    const fetch: FetchRange = async ({ start, end }) =>
      Readable.from([content.subarray(start, end)])
    const cut = { ...opened, spans: opened.spans.slice(0, opened.spans.length / 2) }
    for (const verifyHeaders of [true, false]) {
      const reading = extractEntry(cut, entry!, fetch, { verifyHeaders })
      await expect(Array.fromAsync(reading)).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })
})
