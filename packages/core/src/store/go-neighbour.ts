import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { type ObjectInfo, type StorageBackend, supports } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { findLegacyTrace } from '../gc/legacy-trace.ts'
import { blobKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'

/**
 * The Go program's collector spares what is younger than an hour, by the object's date. Half of that
 * is left for a push to publish its tag.
 */
const OLD_AFTER_MS = 1_800_000

/** So much of `manifests/` is searched for traces: a push shall not read a listing of everything. */
const SEARCHED_MANIFESTS = 1000

const LOOKUPS_AT_ONCE = 16

/** What a push relies on, and the date by which the Go program's collector judges it. */
interface Relied {
  readonly descriptor: Descriptor
  readonly date: number
  readonly isTouched: boolean
}

/**
 * Keeps a push whole beside a collector that knows no pins. What is re-used and old is given a new
 * date first; once the tag is there, and such a collector finds it, everything that it may have
 * taken for garbage before is looked for again. Costs nothing in a push that re-uses nothing old,
 * and one search for traces in one that does.
 */
export class GoNeighbour {
  readonly #backend: StorageBackend
  readonly #relied = new Map<string, Relied>()
  #isThere: Promise<boolean> | undefined

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /** Makes content that is there young, where it has to be. False: it is to be uploaded again. */
  async keep(
    descriptor: Descriptor,
    { key, lastModified }: ObjectInfo,
    now: number,
    options: CallOptions,
  ): Promise<boolean> {
    const isOld = now - lastModified.getTime() > OLD_AFTER_MS
    const isTouched = isOld && (await this.#leftTraces(options))
    if (isTouched && !(await this.#touch(key, options))) return false
    const date = isTouched ? now : lastModified.getTime()
    this.#relied.set(descriptor.digest, { descriptor, date, isTouched })
    return true
  }

  /** Content was uploaded at a moment of the store's clock. */
  note(descriptor: Descriptor, date: number): void {
    this.#relied.set(descriptor.digest, { descriptor, date, isTouched: false })
  }

  /** What was deleted of all that, to be asked for once the tag is published. */
  async lost(now: number, options: CallOptions): Promise<readonly Descriptor[]> {
    const doubtful = [...this.#relied.values()].filter(
      ({ date, isTouched }) => isTouched || now - date > OLD_AFTER_MS,
    )
    if (doubtful.length === 0 || !(await this.#leftTraces(options))) return []
    const lost: Descriptor[] = []
    await forEachConcurrent(
      doubtful,
      LOOKUPS_AT_ONCE,
      async ({ descriptor }, signal) => {
        const info = await this.#backend.head(blobKey(descriptor.digest), { signal })
        if (info?.size !== descriptor.size) lost.push(descriptor)
      },
      options.signal,
    )
    return lost
  }

  async #leftTraces(options: CallOptions): Promise<boolean> {
    this.#isThere ??= findLegacyTrace(this.#backend, {
      ...options,
      searched: SEARCHED_MANIFESTS,
    }).then((trace) => trace !== undefined)
    return this.#isThere
  }

  /** False where the store cannot, or where the object has gone since it was seen. */
  async #touch(key: string, options: CallOptions): Promise<boolean> {
    if (!supports(this.#backend, 'touch')) return false
    try {
      await this.#backend.touch(key, options)
      return true
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND') || isS3loError(error, 'UNSUPPORTED')) return false
      throw error
    }
  }
}
