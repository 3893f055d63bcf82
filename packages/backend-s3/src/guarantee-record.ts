import { createHash } from 'node:crypto'
import {
  asObject,
  type BackendGuarantees,
  type CallOptions,
  GUARANTEES_PREFIX,
  isS3loError,
  type JsonObject,
  parseJson,
} from '@s3lo/core/plugin'
import {
  type Attempt,
  isRefused,
  readAnswer,
  RequestError,
  type UnguardedStore,
} from '@s3lo/core/transfer'
import { dateOf, factsIn } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** How long a record holds: services are upgraded. */
const MAX_AGE_MS = 7 * 24 * 3600 * 1000
const MAX_BYTES = 4096
const MINUTE_MS = 60_000
/** No object has this etag. */
const NO_ETAG = '0'.repeat(32)

/**
 * What a service was found to guarantee, kept in the bucket for every client of it. A client that may
 * write to the bucket can forge a record, so it is believed only as far as the service refuses, now,
 * one write of each kind that it has to refuse: a record spares the races, and never the check.
 */
export class GuaranteeRecord {
  readonly #service: S3Service
  readonly #put: UnguardedStore['put']
  readonly #key: string

  constructor(service: S3Service, put: UnguardedStore['put']) {
    this.#service = service
    this.#put = put
    // One bucket may be behind several services: a gateway guarantees less than what it fronts.
    const id = createHash('sha256').update(service.endpoint.name).digest('hex').slice(0, 16)
    this.#key = `${GUARANTEES_PREFIX}${id}.json`
  }

  /** What the last seven days' record says, by the store's clock; `undefined` where it does not hold. */
  async recall({ signal }: CallOptions): Promise<BackendGuarantees | undefined> {
    const found = await this.#read(signal)
    if (found === undefined) return undefined
    const { guarantees, content, writtenAt } = found
    const late = new Date(writtenAt.getTime() - MINUTE_MS)
    const put: UnguardedStore['put'] = (key, body, options) =>
      this.#put(key, body, { ...options, signal })
    const key = this.#key
    // Each has to be refused; where one is not, the same bytes are written again.
    const checks = await Promise.all([
      !guarantees.createOnly || isRefused(put(key, content, { condition: { kind: 'absent' } })),
      !guarantees.compareAndSwap ||
        isRefused(put(key, content, { condition: { kind: 'unchanged', etag: NO_ETAG } })),
      !guarantees.deadlines || isRefused(put(key, content, { notAfter: late })),
    ])
    return checks.every(Boolean) ? guarantees : undefined
  }

  /** Keeps what was found out. A bucket that takes no record is asked again by the next client. */
  async write(guarantees: BackendGuarantees, { signal }: CallOptions): Promise<void> {
    const { createOnly, compareAndSwap, deadlines } = guarantees
    const facts = { server: this.#service.serverName, createOnly, compareAndSwap, deadlines }
    try {
      await this.#put(this.#key, Buffer.from(`${JSON.stringify(facts)}\n`), { signal })
    } catch (error) {
      if (!isS3loError(error)) throw error
    }
  }

  async #read(signal: AbortSignal | undefined): Promise<FoundRecord | undefined> {
    try {
      return await this.#service.tryCall(
        { what: this.#service.nameOf(this.#key), signal },
        // The body belongs to the attempt, which is given up when it stands still.
        (attempt) => this.#found(attempt),
      )
    } catch (error) {
      // Without a record the service is asked itself, and fails there if it has to.
      if (error instanceof RequestError) return undefined
      throw error
    }
  }

  async #found(attempt: Attempt): Promise<FoundRecord | undefined> {
    const request = { operation: 'GetObject', key: this.#key } as const
    const { headers, stream } = await this.#service.request(request, attempt)
    const { size = Infinity, lastModified: writtenAt } = factsIn(headers)
    const now = dateOf(headers['date'])?.getTime() ?? Date.now()
    if (!stream || !writtenAt || size > MAX_BYTES || now - writtenAt.getTime() >= MAX_AGE_MS) {
      stream?.destroy()
      return undefined
    }
    const content = await readAnswer(stream, MAX_BYTES, attempt.progress)
    const guarantees = parseRecord(content, this.#service.serverName)
    return guarantees && { guarantees, content, writtenAt }
  }
}

interface FoundRecord {
  readonly guarantees: BackendGuarantees
  readonly content: Uint8Array
  readonly writtenAt: Date
}

/** `undefined` for what is no record of ours, or of the service as it was before. */
function parseRecord(content: Uint8Array, server: string): BackendGuarantees | undefined {
  let record: JsonObject
  try {
    record = asObject(parseJson(content, 'a record of guarantees'), 'a record of guarantees')
  } catch {
    return undefined
  }
  const { createOnly, compareAndSwap, deadlines } = record
  const isWhole =
    typeof createOnly === 'boolean' &&
    typeof compareAndSwap === 'boolean' &&
    typeof deadlines === 'boolean'
  return isWhole && record['server'] === server
    ? { createOnly, compareAndSwap, deadlines }
    : undefined
}
