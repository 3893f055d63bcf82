import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { DigestTable } from '../../src/operations/digest-table.ts'

describe('a table of digests', () => {
  it('numbers digests in the order in which they come, and gives them back', () => {
    const table = new DigestTable()
    const digests = Array.from({ length: 5000 }, (_, i) =>
      digestOf(Buffer.from(String(i)), i % 100 === 0 ? 'sha512' : 'sha256'),
    )
    for (const [i, digest] of digests.entries()) expect(table.add(digest)).toBe(i)
    for (const [i, digest] of digests.entries()) {
      expect(table.add(digest)).toBe(i)
      expect(table.find(digest)).toBe(i)
      expect(table.digest(i)).toBe(digest)
    }
    expect(table.size).toBe(5000)
    expect(table.find(digestOf(Buffer.from('another')))).toBeUndefined()
  })

  it('holds the digest of zeros beside one of another algorithm', () => {
    const table = new DigestTable()
    const zeros = `sha256:${'0'.repeat(64)}`
    expect(table.add(`sha512:${'0'.repeat(128)}`)).toBe(0)
    expect(table.find(zeros)).toBeUndefined()
    expect(table.add(zeros)).toBe(1)
    expect(table.digest(1)).toBe(zeros)
  })

  it('refuses what is no digest', () => {
    expect(() => new DigestTable().add('sha256:abc')).toThrow(
      expect.objectContaining({ code: 'INTEGRITY' }),
    )
  })
})
