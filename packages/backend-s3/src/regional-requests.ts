import { type Attempt, type CallSettings, Requests } from '@s3lo/core/transfer'
import type { S3Service } from './s3-service.ts'

/** Requests that are sent again in the bucket's own region where AWS names another one. */
export class RegionalRequests extends Requests {
  readonly #service: S3Service

  constructor(service: S3Service) {
    super(service.requests.policy, service.requests.toFailure)
    this.#service = service
  }

  override trySend<T>(settings: CallSettings, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    return this.#service.tryCall(settings, call)
  }
}
