import { expect, test } from 'vitest'
import { HeldContent } from '../../src/stream/held-content.ts'
import { readAll } from '../../src/stream/read-all.ts'

const CONTENT = new TextEncoder().encode('{}')

test('held content is read as any stream', async () => {
  const chunks = await new HeldContent(CONTENT).toArray()
  expect(Buffer.concat(chunks)).toEqual(Buffer.from(CONTENT))
  expect(await new HeldContent(new Uint8Array()).toArray()).toEqual([])
})

test('held content is taken whole, without a copy', async () => {
  expect(await readAll(new HeldContent(CONTENT), 2, 'a text')).toBe(CONTENT)
})

test('held content that is too large is refused', async () => {
  await expect(readAll(new HeldContent(CONTENT), 1, 'a text')).rejects.toThrow(
    'a text is larger than 1 bytes',
  )
})

test('held content that was read or destroyed cannot be taken', async () => {
  const read = new HeldContent(CONTENT)
  await read.toArray()
  expect(read.whole()).toBeUndefined()
  const destroyed = new HeldContent(CONTENT)
  destroyed.destroy()
  expect(destroyed.whole()).toBeUndefined()
  await expect(readAll(destroyed, 2, 'a text')).rejects.toThrow()
})
