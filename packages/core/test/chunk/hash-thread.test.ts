import { expect, it } from 'vitest'
import { HashThread } from '../../src/chunk/hash-thread.ts'
import { digestOf } from '../../src/oci/digest.ts'

const shared = (text: string): Uint8Array => {
  const bytes = new Uint8Array(new SharedArrayBuffer(text.length))
  bytes.set(Buffer.from(text))
  return bytes
}

const sha256 = (text: string): string => digestOf(Buffer.from(text))

it('hashes chunks in their order, and the files that lie in them', async () => {
  const thread = new HashThread()
  try {
    const answers = await Promise.all([
      thread.hash(shared('one two'), [
        { start: 0, end: 3, isFirst: true, isLast: true },
        { start: 4, end: 7, isFirst: true, isLast: false },
      ]),
      thread.hash(shared(' three'), [{ start: 0, end: 6, isFirst: false, isLast: true }]),
      thread.hash(shared(''), []),
    ])
    expect(answers).toEqual([
      { chunk: sha256('one two'), files: [sha256('one')] },
      { chunk: sha256(' three'), files: [sha256('two three')] },
      { chunk: sha256(''), files: [] },
    ])
  } finally {
    await thread.close()
  }
})

it('that has ended fails what it was asked, and what it is asked then', async () => {
  const thread = new HashThread()
  const asked = thread.hash(shared('x'.repeat(1024 * 1024)), [])
  await thread.close()
  await expect(asked).rejects.toMatchObject({ code: 'INTERNAL' })
  await expect(thread.hash(shared(''), [])).rejects.toMatchObject({ code: 'INTERNAL' })
})
