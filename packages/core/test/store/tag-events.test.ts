import { expect, it } from 'vitest'
import { parseRepositoryKey } from '../../src/layout/repository-keys.ts'
import {
  listTagEvents,
  markOfEvent,
  markOfRecord,
  writeTagEvent,
} from '../../src/store/tag-events.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const DIGESTS = ['f', '0', '7', 'a'].map((digit) => `sha256:${digit.repeat(64)}`)

it('lists events of one moment of the store in the order in which they were written', async () => {
  const backend = new MemoryBackend()
  const at = new Date('2026-01-31T12:00:00Z')
  const written: string[] = []
  for (const was of [...DIGESTS, ...DIGESTS]) {
    const event = { tag: 'v1', was, at, reason: 'deleted' } as const
    written.push(await writeTagEvent(backend, 'app', event))
  }
  const listed = await Array.fromAsync(listTagEvents(backend, { repository: 'app', tag: 'v1' }))
  expect(listed.map(({ key }) => key)).toEqual(written)
})

it('names the record that an event needs in its key', async () => {
  const digest = `sha512:${'12ab'.repeat(32)}`
  const event = { tag: 'v1', became: digest, at: new Date(), reason: 'restored' } as const
  const key = parseRepositoryKey(await writeTagEvent(new MemoryBackend(), 'app', event))
  expect(key).toMatchObject({ kind: 'tag-event' })
  expect(key && 'id' in key && markOfEvent(key.id)).toBe(markOfRecord(digest))
})
