import { describe, expect, it } from 'vitest'
import { FaultyBackend, MemoryBackend } from '../../src/testing/index.ts'
import { imageFixture } from '../../src/testing/fixtures.ts'
import { historyKey, manifestKey } from '../../src/layout/keys.ts'
import { readDatedTags, tagTime } from '../../src/retention/tag-time.ts'

const NOW = Date.parse('2026-06-01T00:00:00Z')
const earlier = new Date('2026-01-01T00:00:00Z')
const later = new Date('2026-03-01T00:00:00Z')
const future = new Date('2027-01-01T00:00:00Z')
const digest = `sha256:${'a'.repeat(64)}`

function entry(at: Date, of = digest) {
  return { pushed_at: at.toISOString(), digest: of, size_bytes: 1 }
}

describe('the time of a tag', () => {
  it.each([
    ['the object, without a history', { lastModified: earlier, newest: undefined }, earlier],
    ['the history, when it is later', { lastModified: earlier, newest: entry(later) }, later],
    ['the object, when it is later', { lastModified: later, newest: entry(earlier) }, later],
    [
      'the object, when the history is of another manifest',
      { lastModified: earlier, newest: entry(later, `sha256:${'b'.repeat(64)}`) },
      earlier,
    ],
    [
      'the object, when the history is of the future',
      { lastModified: earlier, newest: entry(future) },
      earlier,
    ],
  ])('is that of %s', (_, facts, expected) => {
    expect(tagTime({ ...facts, digest, now: NOW })).toEqual(expected)
  })

  it('is read with no request but the listing where there is no history', async () => {
    const backend = new MemoryBackend({ now: () => earlier })
    const { root } = imageFixture({ layers: ['one'] })
    const plain = { name: 'app', tag: 'v1' }
    const recorded = { name: 'app', tag: 'v2' }
    const history = [entry(later, root.descriptor.digest)]
    await backend.put(manifestKey(plain), root.content)
    await backend.put(manifestKey(recorded), root.content)
    await backend.put(historyKey(recorded), Buffer.from(JSON.stringify(history)))
    const faulty = new FaultyBackend(backend)
    const tags = await readDatedTags(faulty, '', { now: NOW })
    expect(new Map(tags.map(({ tag, time }) => [tag, time]))).toEqual(
      new Map([
        ['v1', earlier],
        ['v2', later],
      ]),
    )
    expect(faulty.calls.map(({ method }) => method)).toEqual(['list', 'get', 'get', 'listPrefixes'])
    faulty.calls.length = 0
    const unread = await readDatedTags(faulty, '', { now: NOW, isWanted: () => false })
    expect(unread.map(({ time }) => time)).toEqual([earlier, earlier])
    expect(faulty.calls.map(({ method }) => method)).toEqual(['list', 'listPrefixes'])
  })

  it('is that of its history when images and tags lie in its folder', async () => {
    const backend = new MemoryBackend({ now: () => earlier })
    const { root } = imageFixture({ layers: ['one'] })
    const history = Buffer.from(JSON.stringify([entry(later, root.descriptor.digest)]))
    const references = [
      { name: 'team', tag: 'app' },
      { name: 'team/app', tag: 'latest' },
      { name: 'team/app', tag: 'v1' },
      { name: 'team/app/latest', tag: 'latest' },
    ]
    for (const reference of references) {
      await backend.put(manifestKey(reference), root.content)
      await backend.put(historyKey(reference), history)
    }
    // Without a history, between those that have one.
    const plain = { name: 'team/app', tag: 'later' }
    await backend.put(manifestKey(plain), root.content)
    const tags = await readDatedTags(backend, '', { now: NOW })
    expect(tags.filter(({ time }) => time > earlier)).toHaveLength(4)
    expect(tags.find(({ tag }) => tag === plain.tag)?.time).toEqual(earlier)
  })

  it('is not guessed where a history cannot be read', async () => {
    const backend = new MemoryBackend()
    const { root } = imageFixture({ layers: ['one'] })
    const reference = { name: 'app', tag: 'v1' }
    await backend.put(manifestKey(reference), root.content)
    await backend.put(historyKey(reference), Buffer.from('{'))
    expect(await readDatedTags(backend, '', { now: NOW })).toMatchObject([
      { tag: 'v1', undated: { code: 'INTEGRITY' } },
    ])
  })
})
