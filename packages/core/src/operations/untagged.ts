import type { BucketConfig } from '../config/bucket-config.ts'
import { keepUntaggedMs } from '../config/keep-untagged.ts'
import { RecordExpiry } from '../gc/record-expiry.ts'

/** Images that are pullable by their digests alone; field names are those of `--output json`. */
export interface UntaggedFigures {
  readonly images: number
  /** Of the blobs that no tag needs and they do. */
  readonly bytes: number
  /** When the first and the last of them expire; absent where all stay for ever. */
  readonly first_expires_at?: string
  readonly last_expires_at?: string
  /** Those that never expire; absent where there is none. */
  readonly kept_forever?: number
}

/** Counts untagged images and when they expire. */
export class UntaggedTally {
  #images = 0
  #forever = 0
  #first = Infinity
  #last = -Infinity

  /** `expiresAt`: milliseconds since 1970; `Infinity` for never. */
  add(expiresAt: number): void {
    this.#images++
    if (expiresAt === Infinity) this.#forever++
    else {
      this.#first = Math.min(this.#first, expiresAt)
      this.#last = Math.max(this.#last, expiresAt)
    }
  }

  /** `undefined` where there was none. */
  figures(bytes: number): UntaggedFigures | undefined {
    if (this.#images === 0) return undefined
    return {
      images: this.#images,
      bytes,
      ...(this.#first < Infinity
        ? { first_expires_at: isoOf(this.#first), last_expires_at: isoOf(this.#last) }
        : {}),
      ...(this.#forever > 0 ? { kept_forever: this.#forever } : {}),
    }
  }
}

/** When untagged images expire, by the settings of their store. */
export function expiryBy(config: BucketConfig): RecordExpiry {
  return new RecordExpiry({ keepUntagged: (repository) => keepUntaggedMs(config, repository) })
}

/** Until when something is kept: whole seconds by the store's clock, or `forever`. */
export function untilOf(expiresAt: number): string {
  return expiresAt === Infinity ? 'forever' : isoOf(expiresAt)
}

/** Whole seconds, by the store's clock. */
export function isoOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
