import { describe, expect, it } from 'vitest'
import { LayerTree } from '../../src/filesystem/layer-tree.ts'
import { MergedFiles } from '../../src/filesystem/merged-files.ts'
import { encodeText } from '../../src/tar/byte-text.ts'
import { TarToc } from '../../src/tar/tar-toc.ts'
import type { TocEntry } from '../../src/tar/toc-entry.ts'
import { padTar, TAR_END, tarFile, tarHeader } from '../../src/testing/index.ts'

/** A link as GNU tar writes one whose target has no room in a header. */
function link(name: string, target: string, type = '2'): Buffer {
  const body = Buffer.from(`${target}\0`)
  return Buffer.concat([
    tarHeader('@', { type: 'K', size: body.length }),
    padTar(body),
    tarHeader(name, { type }),
  ])
}

function entriesOf(...parts: readonly Buffer[]): readonly TocEntry[] {
  const toc = new TarToc({ tolerant: true })
  for (const part of [...parts, TAR_END]) toc.push(part)
  return toc.entries
}

/** Layers from the bottom up. */
function filesOf(...layers: readonly (readonly TocEntry[])[]): MergedFiles {
  return new MergedFiles(layers.length, async (layer) => new LayerTree(layers[layer] ?? []))
}

describe('a link', () => {
  const file = tarFile('file', 'content')
  const long = 'a/'.repeat(200_000)

  it.each([
    ['', `${'a/../'.repeat(818)}file`],
    ['in the layer of what lies behind it', `${'./'.repeat(2045)}file`],
  ])('leads as far as a path may be long %s', async (_, target) => {
    const files = filesOf(entriesOf(file, tarFile('a/x', ''), link('link', target)))
    expect(target.length).toBeLessThan(4096)
    expect((await files.resolve('/link')).entry?.name).toBe('file')
  })

  it.each([
    ['of more components than anybody has', long],
    ['of more bytes than a path may have', `${'./'.repeat(2046)}file`],
  ])('leads nowhere with a target %s, and the other files are there', async (_, target) => {
    const files = filesOf(
      entriesOf(file, link('link', target), tarFile('link/x', ''), tarFile('y', '')),
    )
    await expect(files.resolve('/link')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(files.resolve('/link/x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await files.resolve('/file')).entry?.name).toBe('file')
    const listed = await files.list(await files.resolve('/'))
    expect(listed.map(({ entry }) => entry?.name)).toEqual(['file', 'link', 'y'])
  })

  it('that is hard to a path that is too long is no file', async () => {
    const files = filesOf(entriesOf(file, link('hard', long, '1')))
    await expect(files.resolve('/hard')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await files.resolve('/file')).entry?.name).toBe('file')
  })
})

describe('a directory', () => {
  it('may have more whiteouts than a call has room for arguments', async () => {
    const [whiteout] = entriesOf(tarHeader('.wh.'))
    const gone = Array.from({ length: 200_000 }, (_, i) => ({
      ...whiteout!,
      name: encodeText(`.wh.${i}`),
    }))
    const files = filesOf(entriesOf(tarFile('7', ''), tarFile('stays', '')), gone)
    const listed = await files.list(await files.resolve('/'))
    expect(listed.map(({ entry }) => entry?.name)).toEqual(['stays'])
  })
})
