import { describe, expect, it } from 'vitest'
import { TarToc } from '../../src/tar/tar-toc.ts'
import { padTar, tarFile, tarHeader } from '../../src/testing/index.ts'

describe('the metadata of a tar', () => {
  it('has a limit that counts what records take beside their texts in memory', () => {
    const record = (_: unknown, i: number): string =>
      `480 ${String(i).padStart(6, '0')}=${'x'.repeat(468)}\n`
    const body = Buffer.from(Array.from({ length: 2184 }, record).join(''))
    const entry = Buffer.concat([
      tarHeader('@', { type: 'x', size: body.length }),
      padTar(body),
      tarFile('f', ''),
    ])
    const toc = new TarToc({ tolerant: true })
    const fill = (): void => {
      // Their texts alone are under 256 MiB.
      for (let i = 0; i < 240; i++) toc.push(entry)
    }
    expect(fill).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
    expect(toc.entries[0]?.paxRecords.size).toBe(2184)
    expect(toc.entries.length).toBeGreaterThan(200)
  })

  it.each([
    ['x', 'records of one key, that no entry keeps', Buffer.from('6 a=b\n'.repeat(1000))],
    ['g', 'global records', Buffer.alloc(1024 * 1024)],
    ['L', 'names that are replaced', Buffer.alloc(1024 * 1024)],
  ])('has a limit for headers of type %s: %s', (type, _, body) => {
    const header = Buffer.concat([tarHeader('@', { type, size: body.length }), padTar(body)])
    const toc = new TarToc({ tolerant: true })
    let pushed = 0
    const fill = (): void => {
      for (; pushed < 512 * 1024 * 1024; pushed += body.length) toc.push(header)
    }
    expect(fill).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
    expect(pushed).toBeLessThan(300 * 1024 * 1024)
  })
})
