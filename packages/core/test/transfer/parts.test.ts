import { PassThrough, Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { ByteBudget } from '../../src/concurrency/byte-budget.ts'
import { BufferPool, lengthOfPart, type PartOptions, readParts } from '../../src/transfer/parts.ts'
import { ServiceCalls } from '../../src/transfer/service-calls.ts'
import { writeObject } from '../../src/transfer/write-object.ts'
import { MemoryService } from './memory-service.ts'

const KIB = 1024
const MIB = 1024 * KIB
/** Three parts (bytes). */
const MEMORY = 12

let total: number
let budget: ByteBudget

beforeEach(() => shareMemory(MEMORY))

function shareMemory(bytes: number): void {
  total = bytes
  budget = new ByteBudget(bytes)
}

/** True when so many bytes of the budget are taken. */
function isHeld(bytes: number): boolean {
  return budget.has(total - bytes) && !budget.has(total - bytes + 1)
}

describe('the length of parts', () => {
  it.each([
    ['is whole while at least half of the memory is free', MEMORY / 2, 'abcd efgh ij'],
    ['is the least while others hold more', MEMORY / 2 + 1, 'abc def ghi j'],
    [
      'is the least, and waits for nothing, while others hold more than there is',
      100,
      'abc def ghi j',
    ],
  ])('%s', async (_title, held, expected) => {
    budget.take(held)
    expect(await partsOf(Readable.from([Buffer.from('abcdefghij')]))).toBe(expected)
  })

  it('is the same for all of a body, also when memory comes free', async () => {
    budget.take(MEMORY)
    const parts = readParts(Readable.from([Buffer.from('abcdefghij')]), options())
    const lengths = [(await parts.next()).value?.bytes.byteLength]
    budget.giveBack(MEMORY)
    for await (const { bytes } of parts) lengths.push(bytes.byteLength)
    expect(lengths).toEqual([3, 3, 3, 1])
  })

  it('is all of a body that is known to go in one request', async () => {
    budget.take(100)
    expect(await partsOf(Readable.from([Buffer.from('abcd')]), { size: 4 })).toBe('abcd')
    expect(await partsOf(Readable.from([Buffer.from('abcde')]), { size: 5 })).toBe('abc de')
  })

  it('is what a body of known length needs to have no more parts than the service takes', async () => {
    budget.take(100)
    const limits = { size: 10, mostParts: 2 }
    expect(await partsOf(Readable.from([Buffer.from('abcdefghij')]), limits)).toBe('abcde fghij')
  })

  it.each([5 * MIB, 8 * MIB])('lets S3 keep 5 TiB of unknown length (from %i)', (partBytes) => {
    const limits = { partBytes, mostParts: 10_000 }
    const lengths = Array.from({ length: 10_000 }, (_, count) => lengthOfPart(count, limits))
    expect(lengths.reduce((sum, length) => sum + length)).toBeGreaterThan(5 * 1024 ** 4)
    expect(Math.max(...lengths)).toBe(1024 ** 3)
    // Services that take parts of one length only have so much at least.
    expect(lengths.slice(0, 1250)).toEqual(Array.from({ length: 1250 }, () => partBytes))
  })

  it('never shrinks, and stays where there may be any number', () => {
    expect(lengthOfPart(10 ** 6, { partBytes: 4, mostParts: Infinity })).toBe(4)
    expect(lengthOfPart(9999, { partBytes: 2 * 1024 ** 3, mostParts: 10_000 })).toBe(2 * 1024 ** 3)
  })
})

describe('the memory of a first part', () => {
  const large = { partBytes: 8 * MIB, leastPartBytes: 5 * MIB }

  beforeEach(() => shareMemory(48 * MIB))

  it('is counted as it grows: a client that stops has no more than it may fill', async () => {
    const body = new PassThrough()
    const first = readParts(body, options(large)).next()
    await written(body, 10)
    expect(isHeld(64 * KIB)).toBe(true)
    await written(body, 64 * KIB)
    expect(isHeld(MIB)).toBe(true)
    await written(body, MIB)
    expect(isHeld(8 * MIB)).toBe(true)
    body.end()
    const { share, bytes } = (await first).value ?? {}
    expect(bytes?.byteLength).toBe(10 + 64 * KIB + MIB)
    share?.giveBack()
    expect(isHeld(0)).toBe(true)
  })

  it('is given back when the body breaks off, or is too long', async () => {
    const body = new PassThrough()
    const first = readParts(body, options(large)).next()
    await written(body, MIB)
    body.destroy(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    const long = readParts(Readable.from([Buffer.alloc(10)]), options({ ...large, size: 9 }))
    await expect(long.next()).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(isHeld(0)).toBe(true)
  })

  it('of many uploads whose clients stopped blocks none', async () => {
    const stopped = Array.from({ length: 40 }, () => new PassThrough())
    const reading = stopped.map((body) => readParts(body, options(large)).next())
    for (const body of stopped) await written(body, 2 * MIB)
    expect(budget.isScarce).toBe(true)
    const other = new PassThrough()
    const first = readParts(other, options(large)).next()
    await written(other, 6 * MIB)
    expect((await first).value?.bytes.byteLength).toBe(5 * MIB)
    for (const body of [...stopped, other]) body.destroy()
    await Promise.allSettled(reading)
  })

  /** Written, and read by the other side. */
  async function written(body: PassThrough, length: number): Promise<void> {
    await new Promise((resolve) => body.write(Buffer.alloc(length), resolve))
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
  }
})

describe('a write', () => {
  let service: MemoryService

  beforeEach(() => {
    service = new MemoryService()
  })

  it.each([
    ['in one request', 'ab', {}],
    ['in parts', 'abcdefghij', {}],
    ['that is refused', 'ab', { put: ['refused'] as const }],
    ['that cannot begin', 'abcdefghij', { begin: ['refused'] as const }],
    ['whose part is refused', 'abcdefghij', { part: ['refused'] as const }],
  ])('%s gives its memory back', async (_title, text, faults) => {
    Object.assign(service.faults, structuredClone(faults))
    await write(Readable.from([Buffer.from(text)])).catch(() => {})
    expect(isHeld(0)).toBe(true)
  })

  it('never takes the memory of bytes that were given', async () => {
    const body = Buffer.alloc(4, 'a')
    const pool = new BufferPool(100)
    await write(body, pool, true)
    expect(service.seen).toContain('part 0')
    expect(pool.take(body.buffer.byteLength).buffer).not.toBe(body.buffer)
  })

  function write(
    body: Buffer | Readable,
    pool = new BufferPool(MEMORY),
    inParts = false,
  ): Promise<unknown> {
    const context = { calls: new ServiceCalls(service), partBytes: 4, leastPartBytes: 3 }
    return writeObject({ ...context, budget, pool }, 'key', body, { inParts })
  }
})

describe('a pool', () => {
  it('gives a buffer of the same length again', () => {
    const pool = new BufferPool(100)
    const [short, long] = [pool.take(3), pool.take(5)]
    pool.give(short.subarray(0, 1))
    pool.give(long)
    expect(pool.take(3).buffer).toBe(short.buffer)
    expect(pool.take(5).buffer).toBe(long.buffer)
  })

  it('frees what has waited longest, to keep no more than it may', () => {
    const pool = new BufferPool(2 * 64 * KIB)
    const buffers = Array.from({ length: 3 }, () => pool.take(64 * KIB))
    for (const buffer of buffers) pool.give(buffer)
    expect(buffers.map(({ byteLength }) => byteLength)).toEqual([0, 64 * KIB, 64 * KIB])
  })

  it('frees other lengths where one is asked for that it lacks', () => {
    const pool = new BufferPool(MIB)
    const buffers = Array.from({ length: 3 }, () => pool.take(64 * KIB))
    for (const buffer of buffers) pool.give(buffer)
    pool.take(65 * KIB)
    expect(buffers.map(({ byteLength }) => byteLength)).toEqual([0, 0, 64 * KIB])
  })
})

function options(others: Partial<PartOptions> = {}): PartOptions {
  const lengths = { partBytes: 4, leastPartBytes: 3, mostParts: 1000 }
  return { what: 'key', ...lengths, budget, pool: new BufferPool(MEMORY), ...others }
}

async function partsOf(body: Readable, others: Partial<PartOptions> = {}): Promise<string> {
  const parts: string[] = []
  for await (const { bytes, share } of readParts(body, options(others))) {
    parts.push(Buffer.from(bytes).toString())
    share?.giveBack()
  }
  return parts.join(' ')
}
