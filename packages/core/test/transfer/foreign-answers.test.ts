import { describe, expect, it } from 'vitest'
import {
  assertXmlRoot,
  DEFAULT_RETRY_POLICY,
  followPages,
  ForeignAnswerError,
  ByteBudget,
  openObject,
  type Page,
  Requests,
} from '../../src/transfer/index.ts'
import { Readable } from 'node:stream'

describe('a document', () => {
  it.each([
    '<R/>',
    '<R></R>',
    '<R a="b" xmlns="http://x/">text</R>\n',
    '\uFEFF<?xml version="1.0"?>\n<!-- a - b -->  <R><a/></R>',
    `<?xml version="1.0"?>${' \n'.repeat(100_000)}<R>x</R>`,
    '<R />',
  ])('is one with its root element and the end of it: %#', (text) => {
    expect(() => assertXmlRoot(text, ['Q', 'R'])).not.toThrow()
  })

  it.each([
    '',
    ' \n',
    '<n:R xmlns:n="u">x</n:R>',
    'R',
    '{}',
    '<html></html>',
    '<!DOCTYPE html><R></R>',
    '<R>',
    '<R><a>1</a>',
    '<R><a>1</a></R',
    '<R',
    '<Rx></Rx>',
    '<?xml version="1.0"?>',
    '<!-- <R></R>',
    `<?xml ${'<'.repeat(1_000_000)}`,
    `<R ${'a'.repeat(1_000_000)}></R>`,
  ])('is none otherwise: %#', (text) => {
    expect(() => assertXmlRoot(text, ['R'])).toThrow(ForeignAnswerError)
  })
})

describe('the pages of a listing', () => {
  const settings = { what: 'mem://b/' }
  const read = (pages: (token: string | undefined) => Page<number>) =>
    Array.fromAsync(followPages(settings, async (token) => pages(token)))

  it('are followed by their tokens, over empty ones too', async () => {
    const items = await read((token = '0') => {
      const place = Number(token)
      return {
        items: place % 2 === 0 ? [place] : [],
        next: place < 5 ? String(place + 1) : '',
      }
    })
    expect(items).toEqual([0, 2, 4])
  })

  it('that lead to themselves are an error', async () => {
    const reading = read(() => ({ items: [1], next: 'same' }))
    await expect(reading).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('that hold nothing and do not end are an error', async () => {
    let count = 0
    const reading = read(() => ({ items: [], next: String((count += 1)) }))
    await expect(reading).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(count).toBe(1000)
  })

  it('that hold only what is not asked for are passed over, however many there are', async () => {
    const items = await read((token = '0') => ({
      items: token === '1500' ? [1] : [],
      next: token === '1500' ? '' : String(Number(token) + 1),
      hasOthers: true,
    }))
    expect(items).toEqual([1])
  })
})

describe('an object', () => {
  const info = { key: 'k', size: 10, etag: 'e1', lastModified: new Date(0) }
  const policy = { ...DEFAULT_RETRY_POLICY, attempts: 2, delay: () => Promise.resolve() }
  const requests = new Requests(policy, (error) => ({ error, retryable: true }))
  const options = { what: 'mem://b/k', requests, head: async () => info }

  it('has the bytes of its size, against what the service says of a range', async () => {
    const refusing = new Requests(policy, () => ({ error: 0, retryable: false, status: 416 }))
    const open = () => refusing.trySend({ what: 'k' }, () => Promise.reject(new Error('416')))
    const inside = openObject({ ...options, open, range: { start: 9 } })
    await expect(inside).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const { body } = await openObject({ ...options, open, range: { start: 10 } })
    expect(await body.toArray()).toEqual([])
  })

  it('that was replaced meanwhile is not mixed with what replaced it', async () => {
    let version = 0
    const open = async ({ start, end = 10 }: { start: number; end?: number | undefined }) => {
      version += 1
      const stream = Readable.from([Buffer.alloc(end - start)])
      return { info: { ...info, etag: `e${version}` }, end, stream }
    }
    const parallel = { partBytes: 4, budget: new ByteBudget(100) }
    const { body } = await openObject({ ...options, open, parallel })
    await expect(body.toArray()).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})
