import { SingleFlight } from '../concurrency/single-flight.ts'
import {
  type BucketConfig,
  MAX_BUCKET_CONFIG_BYTES,
  parseBucketConfig,
} from '../config/bucket-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { BUCKET_CONFIG_KEY } from '../layout/keys.ts'
import { readVersion } from './read-object.ts'

/** How old what was read may be before the store is asked whether it has changed. */
const MAX_AGE_MS = 5000

interface ReadConfig {
  readonly config: BucketConfig
  /** `undefined` where there is no file. */
  readonly etag: string | undefined
  /** When the look began, by the clock. */
  readonly at: number
}

/** The `s3lo.yaml` of a bucket as it is now, or was at most five seconds ago. */
export class CurrentConfig {
  readonly #backend: StorageBackend
  readonly #clock: () => number
  readonly #flight = new SingleFlight<BucketConfig>()
  #last: ReadConfig | undefined

  /** `clock`: milliseconds, of a clock that is never set. */
  constructor(backend: StorageBackend, clock: () => number = () => performance.now()) {
    this.#backend = backend
    this.#clock = clock
  }

  /** Empty where there is no file. A failed read is not remembered. Throws `INTEGRITY`. */
  async read({ signal }: CallOptions = {}): Promise<BucketConfig> {
    signal?.throwIfAborted()
    const last = this.#last
    if (last && this.#clock() - last.at < MAX_AGE_MS) return last.config
    return this.#flight.run('', signal, (inner) => this.#look({ signal: inner }))
  }

  async #look(options: CallOptions): Promise<BucketConfig> {
    const at = this.#clock()
    const last = this.#last
    if (last) {
      const info = await this.#backend.head(BUCKET_CONFIG_KEY, options)
      if (info?.etag === last.etag) {
        this.#last = { ...last, at }
        return last.config
      }
    }
    const found = await readVersion(
      this.#backend,
      BUCKET_CONFIG_KEY,
      MAX_BUCKET_CONFIG_BYTES,
      options,
    )
    const config = found ? await parseBucketConfig(found.content) : { default: {}, images: {} }
    this.#last = { config, etag: found?.info.etag, at }
    return config
  }
}
