import { describe, expect, it } from 'vitest'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import { noteSkew } from '../../src/gc/clock-skew.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const ASKED = { from: 1_000_000, to: 1_001_000 }

function notes(storeTime: number, times = 1): readonly string[] {
  const events: ProgressEvent[] = []
  const backend = new MemoryBackend()
  for (let i = 0; i < times; i++) {
    noteSkew(backend, storeTime, ASKED, { onProgress: (event) => events.push(event) })
  }
  return events.map((event) => (event.type === 'notice' ? event.message : event.type))
}

describe('the remark on a wrong clock', () => {
  it.each([ASKED.from, ASKED.to, ASKED.from - 5000, ASKED.to + 5000])(
    'is not made for a date of %i, which a whole second or an answer can be off by',
    (storeTime) => {
      expect(notes(storeTime)).toEqual([])
    },
  )

  it.each([
    [ASKED.from - 6000, '6 seconds ahead of'],
    [ASKED.to + 6000, '6 seconds behind'],
    [ASKED.to + 7_200_000, '2 hours behind'],
    [ASKED.from - 86_400_000 * 4, '4 days ahead of'],
  ])('says for a date of %i that this machine is %s the store', (storeTime, words) => {
    expect(notes(storeTime)).toEqual([expect.stringContaining(words)])
  })

  it('is made once for an open store', () => {
    expect(notes(0, 3)).toHaveLength(1)
  })
})
