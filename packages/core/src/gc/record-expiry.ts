import type { ObjectInfo } from '../contract/storage-backend.ts'
import { DEFAULT_MARGIN_MS } from './participant.ts'
import { leastAge } from './steps.ts'

/** How long records of a repository stay that no tag and no index reaches (milliseconds). */
type KeepUntagged = (repository: string) => number

/** However short `keep_untagged` is: for as long a client may name what it has uploaded. */
const LEAST_KEPT_MS = 24 * 3_600_000

export interface ExpiryOptions {
  readonly keepUntagged?: KeepUntagged | undefined
  /** In place of {@link LEAST_KEPT_MS}: for tests. */
  readonly leastKeptMs?: number | undefined
  readonly marginMs?: number | undefined
}

/** A record, as far as its age goes. */
interface DatedRecord {
  readonly repository: string
  readonly info: Pick<ObjectInfo, 'lastModified'>
}

/** When the records of each repository expire. */
export class RecordExpiry {
  readonly #options: ExpiryOptions
  #last: { readonly repository: string; readonly age: number } | undefined

  constructor(options: ExpiryOptions) {
    this.#options = options
  }

  /** Milliseconds since 1970; `Infinity` for never. */
  expiresAt({ repository, info }: DatedRecord): number {
    return info.lastModified.getTime() + this.#ageOf(repository)
  }

  /** Records come one repository after the other. */
  #ageOf(repository: string): number {
    if (this.#last?.repository !== repository) {
      const {
        keepUntagged,
        leastKeptMs = LEAST_KEPT_MS,
        marginMs = DEFAULT_MARGIN_MS,
      } = this.#options
      const keepMs = keepUntagged?.(repository) ?? Infinity
      this.#last = { repository, age: leastAge(keepMs, leastKeptMs, marginMs) }
    }
    return this.#last.age
  }
}
