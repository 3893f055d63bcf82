import { Readable } from 'node:stream'
import {
  type Attempt,
  type BatchAnswer,
  type BatchDeletes,
  DEFAULT_RETRY_POLICY,
  type Failure,
  failureOf,
  type FoundObject,
  type ListPage,
  type ListQuery,
  MEANING,
  type NetworkService,
  type ObjectPiece,
  type ObjectWrite,
  type PartsUpload,
  type PieceRequest,
  Requests,
  type WriteAnswer,
} from '../../src/transfer/index.ts'
import { isS3loError } from '../../src/errors.ts'

interface StoredObject {
  readonly bytes: Uint8Array
  readonly etag: string
  readonly mark: string | undefined
}

/** How a request fails: before it takes effect, or after it. */
export type Fault = 'lost' | 'busy' | 'refused' | 'missing'

/** An answer that says no. */
class Refusal extends Error {
  readonly status: number

  constructor(status: number) {
    super(`HTTP ${status}`)
    this.status = status
  }
}

function toFailure(error: unknown, what: string): Failure {
  if (isS3loError(error) || !(error instanceof Refusal)) return { error, retryable: false }
  const { status } = error
  const meaning =
    status === 503
      ? MEANING.busy
      : status === 412
        ? MEANING.lost
        : ({ code: status === 404 ? 'NOT_FOUND' : 'FORBIDDEN', text: 'no' } as const)
  return { ...failureOf(meaning, what), status }
}

/** A service in memory, whose n-th request of a kind fails as the script says. */
export class MemoryService implements NetworkService {
  readonly scheme = 'mem'
  readonly bucket = 'bucket'
  readonly limits = {
    partBytes: 4,
    leastPartBytes: 2,
    mostParts: 1000,
    partsUp: 3,
    partsDown: 3,
    presignSeconds: 60,
  }
  guarantees = { createOnly: true, compareAndSwap: true, deadlines: true }
  readonly requests: Requests
  readonly objects = new Map<string, StoredObject>()
  /** `verb key` of every request. */
  readonly seen: string[] = []
  readonly faults: Record<string, Fault[]> = {}
  /** What answers to writes leave out. */
  hides: readonly (keyof WriteAnswer)[] = []
  isInOrder = false
  hasBucket = true
  presignGet = async (key: string, seconds: number): Promise<string> => `mem://b/${key}?${seconds}`
  batches?: BatchDeletes
  #version = 0

  constructor() {
    const policy = { ...DEFAULT_RETRY_POLICY, attempts: 3, delay: async () => {} }
    this.requests = new Requests(policy, toFailure)
  }

  assertKey(): void {}

  missing({ status }: Failure): 'object or bucket' | undefined {
    return status === 404 ? 'object or bucket' : undefined
  }

  async findBucket(): Promise<void> {
    await this.#request('bucket', '', () => {
      if (!this.hasBucket) throw new Refusal(404)
    })
  }

  async find(key: string): Promise<FoundObject | undefined> {
    return this.#request('find', key, () => {
      const object = this.#existing(key)
      return { info: this.#infoOf(key, object), mark: object.mark }
    })
  }

  async openPiece(key: string, { start, end }: PieceRequest): Promise<ObjectPiece> {
    return this.#request('open', key, () => {
      const object = this.#existing(key)
      const bytes = object.bytes.subarray(start, end)
      const info = this.#infoOf(key, object)
      return { info, end: start + bytes.byteLength, stream: Readable.from([bytes]) }
    })
  }

  async listPage({ prefix }: ListQuery): Promise<ListPage> {
    return this.#request('list', prefix, () => {
      const objects = [...this.objects].map(([key, object]) => this.#infoOf(key, object))
      return { objects, folders: [], next: undefined }
    })
  }

  async putWhole(write: ObjectWrite, bytes: Uint8Array): Promise<WriteAnswer> {
    return this.#request('put', write.key, () => this.#store(write, bytes))
  }

  async beginParts(write: ObjectWrite): Promise<PartsUpload> {
    const sent: Uint8Array[] = []
    return this.#request('begin', write.key, () => ({
      inOrder: this.isInOrder,
      send: ({ bytes, index }) =>
        this.#request('part', String(index), () => void (sent[index] = Uint8Array.from(bytes))),
      complete: ({ last }) =>
        this.#request('complete', write.key, () =>
          this.#store(write, Buffer.concat(last ? [...sent, last] : sent)),
        ),
      abort: () => this.#request('abort', write.key, () => {}),
    }))
  }

  async deleteOne(key: string): Promise<boolean> {
    return this.#request('delete', key, () => {
      this.objects.delete(key)
      return true
    })
  }

  /** Lets the service take batches of two; keys with `?` are mentioned in no answer. */
  takeBatches(): void {
    this.batches = {
      most: 2,
      takes: (key) => !key.startsWith('single'),
      delete: (keys: readonly string[], _options: object, _attempt: Attempt) =>
        this.#request('batch', keys.join(','), (): BatchAnswer => {
          const failures = new Map<string, Failure>()
          const deleted = new Set(keys.filter((key) => !key.includes('?')))
          for (const key of deleted) this.objects.delete(key)
          for (const fault of (this.faults['key'] ?? []).splice(0, 1)) {
            const [key = ''] = keys
            deleted.delete(key)
            failures.set(key, toFailure(new Refusal(statusOf(fault)), key))
          }
          return { deleted, failures }
        }),
    }
  }

  async #request<T>(verb: string, key: string, act: () => T): Promise<T> {
    this.seen.push(`${verb} ${key}`)
    const fault = this.faults[verb]?.shift()
    if (fault !== undefined && fault !== 'lost') throw new Refusal(statusOf(fault))
    const answer = act()
    if (fault === 'lost') throw new Refusal(503)
    return answer
  }

  #store({ key, condition, mark }: ObjectWrite, bytes: Uint8Array): WriteAnswer {
    const present = this.objects.get(key)
    if (condition?.kind === 'absent' && present) throw new Refusal(412)
    if (condition?.kind === 'unchanged' && !present) throw new Refusal(404)
    if (condition?.kind === 'unchanged' && present?.etag !== condition.etag) throw new Refusal(412)
    this.#version += 1
    const object = { bytes: Uint8Array.from(bytes), etag: `v${this.#version}`, mark }
    this.objects.set(key, object)
    const { etag, lastModified } = this.#infoOf(key, object)
    const answer = { etag, lastModified }
    return Object.fromEntries(
      Object.entries(answer).filter(([name]) => !this.hides.includes(name as keyof WriteAnswer)),
    )
  }

  #existing(key: string): StoredObject {
    const object = this.objects.get(key)
    if (object) return object
    throw new Refusal(404)
  }

  #infoOf(key: string, { bytes, etag }: StoredObject): FoundObject['info'] {
    return { key, size: bytes.byteLength, etag, lastModified: new Date(1000) }
  }
}

function statusOf(fault: Fault): number {
  return { lost: 503, busy: 503, refused: 403, missing: 404 }[fault]
}
