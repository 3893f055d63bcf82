import { createHash, randomBytes } from 'node:crypto'
import { getDefaultHighWaterMark, PassThrough, type Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { S3loError } from '../../src/errors.ts'
import {
  DEFAULT_RETRY_POLICY,
  ByteBudget,
  openObject,
  type OpenObjectOptions,
  type PieceRequest,
  RequestError,
  Requests,
} from '../../src/transfer/index.ts'

const PART = 1000
const content = randomBytes(7 * PART + 7)
const info = { key: 'k', size: content.length, etag: 'e1', lastModified: new Date(0) }

describe('openObject', () => {
  it('brings a long object by several requests at once, in order', async () => {
    const server = new ScriptedObject()
    const { info: facts, body } = await openObject(server.options({ budget: 4 * PART }))
    expect(await sha(body)).toBe(sha256(content))
    expect(facts).toEqual(info)
    expect(server.asked.map(({ start, end }) => [start, end])).toEqual(
      Array.from({ length: 8 }, (_, i) => [
        i * PART,
        i === 0 ? PART : Math.min((i + 1) * PART, content.length),
      ]),
    )
    expect(server.asked.slice(1).every(({ etag }) => etag === 'e1')).toBe(true)
  })

  it('brings a very long object by fewer and longer requests, in the same memory', async () => {
    const long = randomBytes(9 * PART + 7)
    const server = new ScriptedObject(long)
    const budget = new ByteBudget(4 * PART)
    const { body } = await openObject(server.options({ budget }))
    expect(await sha(body)).toBe(sha256(long))
    expect(server.asked.map(({ start }) => start / PART)).toEqual([0, 1, 3, 5, 7, 9])
    expect(server.mostOpen).toBe(2)
    expect(budget.tryTake(4 * PART)).toBe(true)
  })

  it('gives the memory of its parts back', async () => {
    const server = new ScriptedObject()
    const budget = new ByteBudget(4 * PART)
    const { body } = await openObject(server.options({ budget }))
    await sha(body)
    expect(budget.tryTake(4 * PART)).toBe(true)
  })

  it('continues part by part when all memory is taken', async () => {
    const server = new ScriptedObject()
    const { body } = await openObject(server.options({ budget: 0 }))
    expect(await sha(body)).toBe(sha256(content))
    expect(server.mostOpen).toBe(1)
  })

  it('reads ahead only as far as there is memory, of objects of one part too', async () => {
    const large = randomBytes(300_000)
    const budget = new ByteBudget(large.length)
    const options = { budget, partBytes: large.length }
    const open = async (): Promise<Readable> =>
      (await openObject(new ScriptedObject(large).options(options))).body
    const bodies = [await open(), await open()]
    const usual = getDefaultHighWaterMark(false)
    expect(bodies.map((body) => body.readableHighWaterMark)).toEqual([large.length, usual])
    for (const body of bodies) expect(await sha(body)).toBe(sha256(large))
    expect(budget.tryTake(large.length)).toBe(true)
  })

  it('a part that breaks off resumes where it ended', async () => {
    const server = new ScriptedObject()
    server.breaks.set(3 * PART, 400)
    const { body } = await openObject(server.options({ budget: 4 * PART }))
    expect(await sha(body)).toBe(sha256(content))
    expect(server.asked).toContainEqual(
      expect.objectContaining({ start: 3 * PART + 400, end: 4 * PART, etag: 'e1' }),
    )
  })

  it('fails when a part fails, gives its memory back and asks for no more', async () => {
    const server = new ScriptedObject()
    server.refuses.add(2 * PART)
    const budget = new ByteBudget(2 * PART)
    const { body } = await openObject(server.options({ budget }))
    await expect(sha(body)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(budget.tryTake(2 * PART)).toBe(true)
    expect(server.asked.length).toBeLessThan(8)
  })

  it('is read to its end where conditions never hold, since a proxy has changed the etag', async () => {
    const server = new ScriptedObject()
    server.takesConditions = false
    const { body } = await openObject(server.options({ budget: 0 }))
    expect(await sha(body)).toBe(sha256(content))
    expect(server.asked.filter(({ etag }) => etag !== undefined)).toHaveLength(1)
  })

  it('fails where conditions never hold, when it was replaced', async () => {
    const server = new ScriptedObject()
    server.takesConditions = false
    server.replaced = 3 * PART
    const { body } = await openObject(server.options({ budget: 0 }))
    await expect(sha(body)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(server.streams.every((stream) => stream.destroyed)).toBe(true)
  })

  it('one request brings an object that is no longer than a part', async () => {
    const server = new ScriptedObject(content.subarray(0, PART))
    const { body } = await openObject(server.options({ budget: 4 * PART }))
    expect(await sha(body)).toBe(sha256(content.subarray(0, PART)))
    expect(server.asked).toHaveLength(1)
  })

  it('takes the whole object from a service that knows no ranges', async () => {
    const server = new ScriptedObject(content, { ignoresRanges: true })
    const { body } = await openObject(server.options({ budget: 4 * PART }))
    expect(await sha(body)).toBe(sha256(content))
    expect(server.asked).toHaveLength(1)
    const ranged = server.options({ budget: 4 * PART }, { start: 0, end: 5 })
    await expect(openObject(ranged)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('a range over several parts is exactly that range', async () => {
    const server = new ScriptedObject()
    const range = { start: 500, end: 4321 }
    const { body } = await openObject(server.options({ budget: 4 * PART }, range))
    expect(await sha(body)).toBe(sha256(content.subarray(500, 4321)))
    expect(server.asked.at(-1)?.end).toBe(4321)
  })

  it('an abort fails the body with its reason and ends every request', async () => {
    const server = new ScriptedObject()
    const controller = new AbortController()
    const budget = new ByteBudget(4 * PART)
    const options = server.options({ budget })
    const { body } = await openObject({ ...options, signal: controller.signal })
    body.once('data', () => controller.abort(new Error('enough')))
    await expect(sha(body)).rejects.toThrow('enough')
    expect(server.streams.every((stream) => stream.destroyed)).toBe(true)
    expect(budget.tryTake(4 * PART)).toBe(true)
  })

  it('a body without a reader asks for nothing more', async () => {
    const server = new ScriptedObject()
    const { body } = await openObject(server.options({ budget: 4 * PART }))
    expect(server.asked).toHaveLength(1)
    body.destroy()
    await finished(body).catch(() => undefined)
    expect(server.streams.every((stream) => stream.destroyed)).toBe(true)
  })

  it.each([{ start: -1 }, { start: 5, end: 4 }, { start: 0.5 }])(
    'refuses the range %j',
    async (range) => {
      const options = new ScriptedObject().options({ budget: 0 }, range)
      await expect(openObject(options)).rejects.toMatchObject({ code: 'USAGE' })
    },
  )
})

/** An object whose requests are recorded, and fail as told. */
class ScriptedObject {
  readonly asked: PieceRequest[] = []
  readonly streams: Readable[] = []
  /** By the first byte of a request: how many bytes come before the connection breaks. */
  readonly breaks = new Map<number, number>()
  readonly refuses = new Set<number>()
  takesConditions = true
  /** From this byte on, another version is there. */
  replaced = Infinity
  mostOpen = 0
  readonly #content: Uint8Array
  readonly #ignoresRanges: boolean

  constructor(object: Uint8Array = content, { ignoresRanges = false } = {}) {
    this.#content = object
    this.#ignoresRanges = ignoresRanges
  }

  options(
    {
      budget,
      partBytes = PART,
    }: { readonly budget: ByteBudget | number; readonly partBytes?: number },
    range?: { readonly start: number; readonly end?: number },
  ): OpenObjectOptions {
    const policy = { ...DEFAULT_RETRY_POLICY, delay: () => Promise.resolve() }
    return {
      what: 'object k',
      range,
      requests: new Requests(policy, (error) => ({ error, retryable: true })),
      open: (request) => this.#open(request),
      head: () => Promise.resolve({ ...info, size: this.#content.length }),
      parallel: {
        partBytes,
        budget: typeof budget === 'number' ? new ByteBudget(budget) : budget,
      },
    }
  }

  async #open(request: PieceRequest): ReturnType<OpenObjectOptions['open']> {
    this.asked.push(request)
    if (this.refuses.has(request.start)) throw new S3loError('CONFLICT', 'it was replaced')
    if (request.etag !== undefined && !this.takesConditions) {
      const error = new S3loError('CONFLICT', 'another version is there')
      throw new RequestError({ error, status: 412, retryable: false })
    }
    const size = this.#content.length
    const end = this.#ignoresRanges ? size : Math.min(request.end ?? size, size)
    const stream = new PassThrough()
    this.streams.push(stream)
    const open = this.streams.filter((each) => !each.destroyed).length
    this.mostOpen = Math.max(this.mostOpen, open)
    const cut = this.breaks.get(request.start)
    this.breaks.delete(request.start)
    const bytes = this.#content.subarray(request.start, cut ? request.start + cut : end)
    setImmediate(() => stream.end(bytes))
    const etag = request.start < this.replaced ? info.etag : 'e2'
    return { info: { ...info, etag, size }, end, stream }
  }
}

async function sha(body: Readable): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of body) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
