/** All that goes through the SDK: loaded with the first request that does more than read. */
import type { BackendOptions } from '@s3lo/core/plugin'
import type { HttpClient } from '@s3lo/core/transfer'
import { clientConfig } from './client-config.ts'
import type { CredentialProvider } from './credentials.ts'
import type { S3Endpoint } from './endpoint.ts'
import { httpHandler } from './http-handler.ts'
import { Sdk } from './sdk.ts'

export { copyObject, touchObject } from './copy.ts'
export { deleteBatch, deleteObject } from './delete.ts'
export { diagnose } from './diagnose.ts'
export { GuaranteeRecord } from './guarantee-record.ts'
export { abortUpload, listUploads } from './list-uploads.ts'
export { presignGet } from './presign.ts'
export { MultipartUpload, putObject } from './upload.ts'

/** What the SDK's client of a bucket is made of. */
interface SdkFacts {
  readonly bucket: string
  readonly endpoint: S3Endpoint
  readonly env: BackendOptions['env']
  readonly region: string
  readonly credentials: CredentialProvider
  readonly http: HttpClient
  /** How far the service's clock is ahead. */
  readonly clockOffsetMs: number
  /** Gets the name that the service gives itself in each answer. */
  readonly onServer: (name: string) => void
}

/** The SDK's client of a bucket, in one region, over connections that are there already. */
export function loadSdk(facts: SdkFacts): Sdk {
  const { bucket, endpoint, env, region, credentials, http, clockOffsetMs, onServer } = facts
  const profile = env['AWS_PROFILE']
  const config = {
    ...clientConfig(endpoint, region, credentials),
    ...(profile && { profile }),
    systemClockOffset: clockOffsetMs,
    requestHandler: httpHandler(env, http),
  }
  return new Sdk(bucket, config, onServer)
}
