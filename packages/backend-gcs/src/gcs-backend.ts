import type { BackendOptions } from '@s3lo/core/plugin'
import {
  DEFAULT_RETRY_POLICY,
  isTrusted,
  type NetworkBackend,
  networkBackend,
  Requests,
  type RetryPolicy,
  type TransferOptions,
} from '@s3lo/core/transfer'
import type { Access } from './access.ts'
import type { Endpoint } from './endpoint.ts'
import { toFailure } from './errors.ts'
import { GcsClient } from './gcs-client.ts'
import { GcsService } from './gcs-service.ts'

/** What a {@link GcsBackend} can be made with; parts are chunks, a multiple of 256 KiB. */
export interface GcsBackendOptions extends TransferOptions {
  readonly retry?: Partial<RetryPolicy> | undefined
  /** For HTTPS_PROXY and NO_PROXY. */
  readonly env?: BackendOptions['env'] | undefined
  /** The service keeps its guarantees: nothing is tried out. */
  readonly trustEndpoint?: boolean | undefined
}

/** A bucket of Google Cloud Storage. */
export type GcsBackend = NetworkBackend<GcsService>

/** Opens a bucket of a service; asks it nothing yet. */
export function gcsBackend(
  bucket: string,
  endpoint: Endpoint,
  access: Access,
  { retry, env = {}, trustEndpoint, ...options }: GcsBackendOptions = {},
): GcsBackend {
  const requests = new Requests({ ...DEFAULT_RETRY_POLICY, ...retry }, toFailure)
  const client = new GcsClient(bucket, endpoint, access, requests, env)
  const isKnown = endpoint.isGoogle || isTrusted({ trustEndpoint, env })
  return networkBackend(new GcsService(client, isKnown), options)
}
