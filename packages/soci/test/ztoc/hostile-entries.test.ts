import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import type { TocEntry } from '@s3lo/core/tar'
import { extractEntry } from '../../src/ztoc/extract.ts'
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
async function read(layer: Buffer, ztoc: Ztoc, name: string): Promise<string> {
  const opened = openZtoc(decodeZtoc(encodeZtoc(ztoc)))
  const entry = findEntry(opened, name)
  if (!entry) throw new Error(`${name} is not there`)
  const content = extractEntry(opened, entry, async ({ start, end }) =>
    Readable.from([layer.subarray(start, end)]),
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
})
