import type { ObjectInfo } from '../contract/storage-backend.ts'
import type { FoundObject, NetworkService } from './network-service.ts'
import { type Attempt, type CallSettings, RequestError } from './requests.ts'

/**
 * Requests to one service. Where an answer says that an object is missing, it is made sure that the
 * bucket is there: a missing bucket is `NOT_FOUND`, and never an object that is not there.
 */
export class ServiceCalls {
  readonly service: NetworkService
  /** Whether the bucket has answered already. */
  #isBucketSeen = false

  constructor(service: NetworkService) {
    this.service = service
  }

  /** Names an object, or with an empty key the bucket, in messages. */
  nameOf(key: string): string {
    const { scheme, bucket } = this.service
    return key === '' ? `${scheme}://${bucket}` : `${scheme}://${bucket}/${key}`
  }

  about(key: string, signal: AbortSignal | undefined): CallSettings {
    return { what: this.nameOf(key), signal }
  }

  /** Throws a {@link RequestError}. */
  async trySend<T>(settings: CallSettings, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    return this.checked(settings, async () => {
      const answer = await this.service.requests.trySend(settings, call)
      this.#isBucketSeen = true
      return answer
    })
  }

  /** What `work` comes to, of which a failure may say that something is missing. */
  async checked<T>(settings: CallSettings, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const missing = this.#missing(error)
      if (missing === 'object') this.#isBucketSeen = true
      if (missing === 'object or bucket') await this.assertBucket(settings)
      throw error
    }
  }

  /** The object's description; `undefined` where it is not there. Throws a {@link RequestError}. */
  async find(key: string, settings: CallSettings): Promise<FoundObject | undefined> {
    try {
      return await this.trySend(settings, (attempt) => this.service.find(key, attempt))
    } catch (error) {
      if (this.isMissing(error)) return undefined
      throw error
    }
  }

  async head(key: string, signal: AbortSignal | undefined): Promise<ObjectInfo | undefined> {
    return (await this.find(key, this.about(key, signal)))?.info
  }

  isMissing(error: unknown): boolean {
    return this.#missing(error) !== undefined
  }

  /**
   * Asks only where no answer has shown that the bucket is there. What it throws is no longer a
   * `RequestError`: that nothing is found in a missing bucket does not say that an object is missing.
   */
  async assertBucket({ signal }: CallSettings): Promise<void> {
    const { service } = this
    if (this.#isBucketSeen || !service.findBucket) return
    await service.requests.send(this.about('', signal), async (attempt) => {
      await service.findBucket?.(attempt)
    })
    this.#isBucketSeen = true
  }

  #missing(error: unknown): ReturnType<NetworkService['missing']> {
    return error instanceof RequestError ? this.service.missing(error.failure) : undefined
  }
}
