import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { supports } from '../../src/contract/storage-backend.ts'
import { networkBackend } from '../../src/transfer/index.ts'
import { MemoryService } from './memory-service.ts'

const absent = { condition: { kind: 'absent' } } as const

let service: MemoryService
beforeEach(() => {
  service = new MemoryService()
})

describe('a write whose answer was lost', () => {
  it.each([
    ['in one request', 'ab', 'put', false],
    ['in parts', 'abcdefghi', 'complete', false],
    ['in parts, one after the other', 'abcdefghi', 'complete', true],
  ])('has succeeded when the object is its own: %s', async (_kind, text, verb, isInOrder) => {
    service.isInOrder = isInOrder
    service.faults[verb] = ['lost']
    const info = await networkBackend(service).put('key', Buffer.from(text), absent)
    expect([info.etag, info.size]).toEqual(['v1', text.length])
    expect(contentOf('key')).toBe(text)
    expect(service.seen.filter((request) => /^(put|complete|find|abort)/.test(request))).toEqual([
      `${verb} key`,
      `${verb} key`,
      'find key',
    ])
  })

  it("is a CONFLICT when the object is another writer's", async () => {
    await networkBackend(service).put('key', Buffer.from('theirs'), absent)
    service.faults['put'] = ['busy']
    const write = networkBackend(service).put('key', Buffer.from('ab'), absent)
    expect(await codeOf(write)).toBe('CONFLICT')
    expect(contentOf('key')).toBe('theirs')
  })

  it('is not looked for when no attempt was lost', async () => {
    service.faults['put'] = ['refused']
    expect(await codeOf(networkBackend(service).put('key', Buffer.from('ab'), absent))).toBe(
      'FORBIDDEN',
    )
    expect(service.seen).toEqual(['put key'])
  })

  it('is no CONFLICT when the look itself fails', async () => {
    service.faults['put'] = ['lost']
    service.faults['find'] = ['refused']
    const write = networkBackend(service).put('key', Buffer.from('ab'), absent)
    expect(await codeOf(write)).toBe('FORBIDDEN')
  })

  it('is simply written again without a condition, and carries no mark', async () => {
    service.faults['put'] = ['lost']
    await networkBackend(service).put('key', Buffer.from('ab'))
    expect(service.seen).toEqual(['put key', 'put key'])
    expect(service.objects.get('key')?.mark).toBeUndefined()
  })

  it('reports that an attempt may still take effect', async () => {
    service.faults['put'] = ['lost']
    let unanswered = 0
    const onUnanswered = (): void => void (unanswered += 1)
    await networkBackend(service).put('key', Buffer.from('ab'), { ...absent, onUnanswered })
    expect(unanswered).toBe(1)
  })
})

describe('an answer to a write that lacks a fact', () => {
  it('is completed by a look: the date', async () => {
    service.hides = ['lastModified']
    const info = await networkBackend(service).put('key', Buffer.from('ab'))
    expect([info.etag, info.lastModified]).toEqual(['v1', new Date(1000)])
  })

  it('is believed only of the own object: the etag', async () => {
    service.hides = ['etag']
    expect((await networkBackend(service).put('key', Buffer.from('ab'), absent)).etag).toBe('v1')
    // A write without a mark cannot be told from another.
    expect(await codeOf(networkBackend(service).put('other', Buffer.from('ab')))).toBe(
      'UNAVAILABLE',
    )
  })
})

describe('an upload in parts', () => {
  it.each([false, true])('is aborted when a part fails (in order: %s)', async (isInOrder) => {
    service.isInOrder = isInOrder
    service.faults['part'] = ['refused']
    const body = Readable.from([Buffer.from('abcdefghijkl')])
    expect(await codeOf(networkBackend(service).put('key', body))).toBe('FORBIDDEN')
    expect([service.seen.at(-1), service.objects.size, body.destroyed]).toEqual([
      'abort key',
      0,
      true,
    ])
  })

  it('in order sends one part after the other, and the last with the end', async () => {
    service.isInOrder = true
    service.faults['part'] = ['busy', 'busy']
    await networkBackend(service).put('key', Readable.from([Buffer.from('abcdefghij')]))
    expect(service.seen).toEqual([
      'begin key',
      'part 0',
      'part 0',
      'part 0',
      'part 1',
      'complete key',
    ])
    expect(contentOf('key')).toBe('abcdefghij')
  })

  it('writes a body with a deadline in parts when one request would take long', async () => {
    const timed = Object.assign(service, { limits: { ...service.limits, timedBytes: 2 } })
    const notAfter = new Date(Date.now() + 60_000)
    await networkBackend(timed).put('key', Buffer.from('abc'), { notAfter })
    expect(service.seen).toEqual(['begin key', 'part 0', 'complete key'])
  })
})

describe('what is missing', () => {
  it('is the object only where the bucket is there', async () => {
    expect(await networkBackend(service).head('key')).toBeUndefined()
    expect(service.seen).toEqual(['find key', 'bucket '])
    service.hasBucket = false
    expect(await codeOf(networkBackend(service).head('key'))).toBe('NOT_FOUND')
    expect(await codeOf(networkBackend(service).get('key'))).toBe('NOT_FOUND')
  })

  it('is asked of the bucket once', async () => {
    const backend = networkBackend(service)
    await backend.head('key')
    await backend.head('key')
    expect(service.seen).toEqual(['find key', 'bucket ', 'find key'])
  })

  it('under the condition that it is unchanged is a CONFLICT', async () => {
    const condition = { kind: 'unchanged', etag: 'v9' } as const
    const write = networkBackend(service).put('key', Buffer.from('ab'), { condition })
    expect(await codeOf(write)).toBe('CONFLICT')
  })
})

describe('deletes', () => {
  it('of a lost answer are done when the object is gone', async () => {
    await networkBackend(service).put('key', Buffer.from('ab'))
    service.faults['delete'] = ['lost', 'refused']
    expect(await networkBackend(service).delete(['key'])).toEqual([])
    expect(service.seen).toContain('find key')
  })

  it('that were refused are named in the order given, once each', async () => {
    service.faults['delete'] = ['refused', 'refused']
    const failures = await networkBackend(service).delete(['b', 'a', 'b'])
    expect(failures.map(({ key, error }) => [key, error.code])).toEqual([
      ['b', 'FORBIDDEN'],
      ['a', 'FORBIDDEN'],
    ])
  })

  it('in batches repeat what was busy and delete one by one what no answer mentions', async () => {
    service.takeBatches()
    service.faults['key'] = ['busy']
    expect(await networkBackend(service).delete(['a', 'b?', 'single'])).toEqual([])
    expect(service.seen.toSorted()).toEqual(['batch a', 'batch a,b?', 'delete b?', 'delete single'])
  })
})

describe('guarantees', () => {
  it('that are missing are UNSUPPORTED before anything is sent', async () => {
    service.guarantees = { createOnly: false, compareAndSwap: false, deadlines: false }
    const backend = networkBackend(service)
    const notAfter = new Date()
    expect(await codeOf(backend.put('key', Buffer.from('ab'), absent))).toBe('UNSUPPORTED')
    expect(await codeOf(backend.put('key', Buffer.from('ab'), { notAfter }))).toBe('UNSUPPORTED')
    expect(await codeOf(backend.delete(['key'], { notAfter }))).toBe('UNSUPPORTED')
    expect(service.seen).toEqual([])
  })

  it('are proven once for all that ask at the same time', async () => {
    let proofs = 0
    const proving = Object.assign(new MemoryService(), {
      guarantees: { createOnly: false, compareAndSwap: false, deadlines: false },
      proveGuarantees: async () => {
        proofs += 1
        return { createOnly: true, compareAndSwap: false, deadlines: false }
      },
    })
    const backend = networkBackend(proving)
    await Promise.all([backend.proveGuarantees(), backend.proveGuarantees()])
    expect([proofs, backend.guarantees.createOnly]).toEqual([1, true])
  })
})

it('has the optional methods that its service has', () => {
  const backend = networkBackend(service)
  expect(
    ['touch', 'presignGet', 'copyFrom'].filter((name) => supports(backend, name as 'touch')),
  ).toEqual(['presignGet'])
})

it('signs URLs for 1 second up to what the service allows', async () => {
  const backend = networkBackend(service)
  expect(String(await backend.presignGet('key', { expiresInSeconds: 60 }))).toBe('mem://b/key?60')
  for (const expiresInSeconds of [0, -1, 61, Number.NaN]) {
    expect(await codeOf(backend.presignGet('key', { expiresInSeconds }))).toBe('USAGE')
  }
})

function contentOf(key: string): string {
  return Buffer.from(service.objects.get(key)?.bytes ?? []).toString()
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return isS3loError(error) ? error.code : String(error)
}
