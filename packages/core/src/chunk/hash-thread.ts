import type { Hash } from 'node:crypto'
import type { Worker } from 'node:worker_threads'
import { S3loError } from '../errors.ts'

/** Bytes of a file that lie in a chunk, by where they do. */
export interface FilePart {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  /** The file begins with it, or ends. */
  readonly isFirst: boolean
  readonly isLast: boolean
}

/** Digests of a chunk, and of the files that end in it. */
export interface ChunkHashes {
  readonly chunk: string
  readonly files: readonly string[]
}

interface Question {
  readonly bytes: Uint8Array
  readonly parts: readonly FilePart[]
}

/** Room for new objects (MB): the thread has hardly any. */
const NURSERY_SIZE = 1

/**
 * Hashes chunks and what files they hold on a thread of its own, which reads them where they are: their
 * memory is shared. Node's pool could only hash copies.
 */
export class HashThread {
  readonly #worker: Worker
  readonly #waiting: PromiseWithResolvers<ChunkHashes>[] = []
  #failure: S3loError | undefined

  constructor() {
    const { Worker } = process.getBuiltinModule('node:worker_threads')
    // The program is a text, so that no bundle has to have a file for it.
    this.#worker = new Worker(`(${program.toString()})()`, {
      eval: true,
      resourceLimits: { maxYoungGenerationSizeMb: NURSERY_SIZE },
    })
    this.#worker.on('message', (hashes: ChunkHashes) => this.#waiting.shift()?.resolve(hashes))
    this.#worker.on('error', (cause) => this.#fail(cause))
    this.#worker.on('exit', () => this.#fail(undefined))
  }

  /** To be called in the order of the chunks. Nothing may change the bytes before it has answered. */
  hash(bytes: Uint8Array, parts: readonly FilePart[]): Promise<ChunkHashes> {
    if (this.#failure) return Promise.reject(this.#failure)
    const answer = Promise.withResolvers<ChunkHashes>()
    // What needs it gets the failure; before that it must not count as unhandled.
    answer.promise.catch(() => undefined)
    this.#waiting.push(answer)
    const question: Question = { bytes, parts }
    this.#worker.postMessage(question, [])
    return answer.promise
  }

  /** What has no answer yet fails. */
  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #fail(cause: unknown): void {
    this.#failure ??= new S3loError('INTERNAL', 'the thread that hashes has ended', { cause })
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure)
  }
}

/** Runs on the thread, and sees nothing of this file. */
function program(): void {
  const { parentPort } = process.getBuiltinModule('node:worker_threads')
  const { createHash } = process.getBuiltinModule('node:crypto')
  const digestOf = (hash: Hash): string => `sha256:${hash.digest('hex')}`
  let file = createHash('sha256')
  parentPort?.on('message', ({ bytes, parts }: Question) => {
    const files: string[] = []
    for (const { start, end, isFirst, isLast } of parts) {
      if (isFirst) file = createHash('sha256')
      file.update(bytes.subarray(start, end))
      if (isLast) files.push(digestOf(file))
    }
    const chunk = digestOf(createHash('sha256').update(bytes))
    parentPort.postMessage({ chunk, files }, [])
  })
}
