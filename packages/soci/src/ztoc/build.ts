import type { Readable } from 'node:stream'
import { Worker } from 'node:worker_threads'
import { type CallOptions, type ErrorCode, recycle, S3loError } from '@s3lo/core/plugin'
import {
  ALGORITHM_BYTES,
  algorithmOf,
  type BuiltZtoc,
  ZtocBuilder,
  type ZtocOptions,
} from './ztoc-builder.ts'

/** What the worker is sent. */
export type ToWorker =
  | { readonly type: 'chunk'; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly type: 'end' }

/** What the worker answers. */
export type FromWorker =
  | { readonly type: 'taken'; readonly buffer: ArrayBuffer }
  | { readonly type: 'built'; readonly built: BuiltZtoc }
  | {
      readonly type: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly hint?: string | undefined
    }

/** What the content is sent in (bytes). */
const CHUNK_SIZE = 256 * 1024

/** How many chunks are on their way at once. They go back and forth, so that none becomes garbage. */
const MAX_CHUNKS = 4

/** A worker makes little garbage that lives: a small nursery keeps it from growing (MiB). */
const NURSERY_SIZE = 8

const IS_SOURCE = import.meta.url.endsWith('.ts')

export interface BuildZtocOptions extends ZtocOptions, CallOptions {
  /** Called with the bytes of each piece that was read. */
  readonly onRead?: ((bytes: number) => void) | undefined
}

/**
 * Builds the zTOC of a layer in one pass over its content: of gzip in a thread of its own, of a
 * plain tar on this one, where it takes less than handing the content over. Throws `INTEGRITY` for
 * a layer that is not a whole tar (in gzip or plain), `UNSUPPORTED` for one that no zTOC can
 * describe, and what the content fails with. The content is destroyed on failure.
 */
export async function buildZtoc(
  content: Readable,
  { signal, onRead, ...options }: BuildZtocOptions = {},
): Promise<BuiltZtoc> {
  const abort = (): void => void content.destroy(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    signal?.throwIfAborted()
    const parts = content[Symbol.asyncIterator]()
    const { algorithm = 'auto' } = options
    const head = algorithm === 'auto' ? await readHead(parts) : new Uint8Array()
    const known = algorithm === 'auto' ? algorithmOf(head) : algorithm
    const build = known === 'gzip' ? buildInThread : buildHere
    return await build(prepend(head, parts, onRead), { ...options, algorithm: known })
  } finally {
    signal?.removeEventListener('abort', abort)
    content.destroy()
  }
}

/** The first chunks, up to what tells the algorithm. */
async function readHead(parts: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array()
  while (head.length < ALGORITHM_BYTES) {
    const { done, value } = await parts.next()
    if (done) break
    head = head.length === 0 ? value : Buffer.concat([head, value])
  }
  return head
}

async function* prepend(
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
  onRead: BuildZtocOptions['onRead'],
): AsyncGenerator<Uint8Array> {
  if (head.length > 0) {
    onRead?.(head.length)
    yield head
  }
  for (let next = await rest.next(); !next.done; next = await rest.next()) {
    onRead?.(next.value.length)
    yield next.value
  }
}

async function buildHere(
  parts: AsyncIterable<Uint8Array>,
  options: ZtocOptions,
): Promise<BuiltZtoc> {
  const builder = new ZtocBuilder(options)
  for await (const part of parts) {
    builder.push(part)
    recycle(part)
  }
  return builder.finish()
}

async function buildInThread(
  parts: AsyncIterable<Uint8Array>,
  options: ZtocOptions,
): Promise<BuiltZtoc> {
  const thread = new BuilderThread(options)
  try {
    await Promise.race([feed(parts, thread), thread.result])
    return await thread.result
  } finally {
    await thread.close()
  }
}

async function feed(parts: AsyncIterable<Uint8Array>, thread: BuilderThread): Promise<void> {
  let chunk = new Uint8Array(await thread.take())
  let filled = 0
  for await (const part of parts) {
    for (let at = 0; at < part.byteLength;) {
      const piece = part.subarray(at, at + chunk.length - filled)
      chunk.set(piece, filled)
      filled += piece.length
      at += piece.length
      if (filled < chunk.length) continue
      thread.send(chunk.buffer, filled)
      chunk = new Uint8Array(await thread.take())
      filled = 0
    }
    recycle(part)
  }
  if (filled > 0) thread.send(chunk.buffer, filled)
  thread.end()
}

/** A worker that builds one zTOC, with a bound on what it is sent ahead. */
class BuilderThread {
  readonly result: Promise<BuiltZtoc>
  readonly #worker: Worker
  readonly #settle: PromiseWithResolvers<BuiltZtoc> = Promise.withResolvers()
  readonly #free: ArrayBuffer[] = []
  #made = 0
  #returned: PromiseWithResolvers<void> = Promise.withResolvers()

  constructor(options: ZtocOptions) {
    this.result = this.#settle.promise
    // The caller that awaits it gets the failure; before that it must not count as unhandled.
    this.result.catch(() => undefined)
    this.#worker = new Worker(new URL(IS_SOURCE ? './worker.ts' : './worker.js', import.meta.url), {
      workerData: options,
      resourceLimits: { maxYoungGenerationSizeMb: NURSERY_SIZE },
      ...(IS_SOURCE ? { execArgv: ['--conditions=s3lo-source'] } : {}),
    })
    this.#worker.on('message', (message: FromWorker) => this.#receive(message))
    this.#worker.on('error', (error) => this.fail(error))
    this.#worker.on('exit', () => this.fail(new S3loError('INTERNAL', 'the builder has ended')))
  }

  /** A buffer to fill, as soon as there is one. Throws what the worker failed with. */
  async take(): Promise<ArrayBuffer> {
    if (this.#free.length === 0 && this.#made < MAX_CHUNKS) {
      this.#made += 1
      return new ArrayBuffer(CHUNK_SIZE)
    }
    for (;;) {
      const buffer = this.#free.pop()
      if (buffer) return buffer
      this.#returned = Promise.withResolvers()
      await Promise.race([this.#returned.promise, this.result])
    }
  }

  /** Sends a buffer, which is gone then, of which `length` bytes are filled. */
  send(buffer: ArrayBuffer, length: number): void {
    const message: ToWorker = { type: 'chunk', buffer, length }
    this.#worker.postMessage(message, [buffer])
  }

  end(): void {
    const message: ToWorker = { type: 'end' }
    this.#worker.postMessage(message, [])
  }

  fail(reason: unknown): void {
    this.#settle.reject(reason)
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'taken':
        this.#free.push(message.buffer)
        this.#returned.resolve()
        break
      case 'built':
        this.#settle.resolve(message.built)
        break
      case 'failed': {
        const { code, message: text, hint } = message
        this.#settle.reject(new S3loError(code, text, { hint }))
      }
    }
  }
}
