import type { BackendOptions } from '@s3lo/core/plugin'
import {
  DEFAULT_RETRY_POLICY,
  type NetworkBackend,
  networkBackend,
  Requests,
  type RetryPolicy,
  type TransferOptions,
} from '@s3lo/core/transfer'
import { toFailure } from './errors.ts'
import { S3Bucket } from './s3-bucket.ts'
import { S3Service } from './s3-service.ts'

/** What an {@link S3Backend} can be made with. S3 wants parts of at least 5 MiB. */
export interface S3BackendOptions extends BackendOptions, TransferOptions {
  readonly retry?: Partial<RetryPolicy> | undefined
}

/** A bucket of Amazon S3 or of a service that speaks its protocol. */
export type S3Backend = NetworkBackend<S3Bucket>

/** Opens a bucket; asks the service nothing yet. */
export function s3Backend(bucket: string, options: S3BackendOptions): S3Backend {
  const requests = new Requests({ ...DEFAULT_RETRY_POLICY, ...options.retry }, toFailure)
  const service = new S3Service(bucket, options, requests)
  return networkBackend(new S3Bucket(service, options), options)
}
