import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { type CallOptions, type Finding, isS3loError } from '@s3lo/core/plugin'
import { RequestError } from '@s3lo/core/transfer'
import type { S3Service } from './s3-service.ts'

/** What a health check says about the bucket's own settings. */
export async function* diagnose(
  service: S3Service,
  options: CallOptions,
): AsyncGenerator<Finding, void> {
  yield await checkVersioning(service, options)
  yield await checkUploads(service, options)
}

async function checkVersioning(service: S3Service, options: CallOptions): Promise<Finding> {
  const input = { Bucket: service.bucket }
  const answer = await ask(service, options, (client, abortSignal) =>
    client.send(new GetBucketVersioningCommand(input), { abortSignal }),
  )
  if ('finding' in answer)
    return { ...answer.finding, message: `versioning: ${answer.finding.message}` }
  if (answer.value?.Status !== 'Enabled') {
    return { severity: 'ok', message: 'versioning is off: what is deleted frees its space' }
  }
  return {
    severity: 'notice',
    message: 'versioning is on: what is deleted stays as an old version and is paid for',
    hint: 'expire old versions by a lifecycle rule: NoncurrentVersionExpiration',
  }
}

async function checkUploads(service: S3Service, options: CallOptions): Promise<Finding> {
  const input = { Bucket: service.bucket }
  const answer = await ask(service, options, (client, abortSignal) =>
    client.send(new GetBucketLifecycleConfigurationCommand(input), { abortSignal }),
  )
  if ('finding' in answer)
    return { ...answer.finding, message: `lifecycle: ${answer.finding.message}` }
  const isCovered = (answer.value?.Rules ?? []).some(
    ({ Status, AbortIncompleteMultipartUpload: rule }) => Status === 'Enabled' && rule,
  )
  if (isCovered) return { severity: 'ok', message: 'interrupted uploads are removed by a rule' }
  return {
    severity: 'notice',
    message: 'no lifecycle rule removes interrupted uploads, which are paid for',
    hint: 'add a rule with AbortIncompleteMultipartUpload, for example after 7 days',
  }
}

/** The answer, `undefined` where nothing is configured; a finding where it cannot be known. */
async function ask<T>(
  service: S3Service,
  { signal }: CallOptions,
  call: (client: S3Client, signal: AbortSignal) => Promise<T>,
): Promise<{ readonly value: T | undefined } | { readonly finding: Finding }> {
  const what = `s3://${service.bucket}`
  try {
    const value = await service.trySend({ what, signal }, (client, attempt) =>
      call(client, attempt.signal),
    )
    return { value }
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    const { status, error: thrown } = error.failure
    if (status === 404) return { value: undefined }
    if (isS3loError(thrown, 'FORBIDDEN')) {
      return { finding: { severity: 'notice', message: 'the credentials may not look at it' } }
    }
    if (isS3loError(thrown, 'UNSUPPORTED')) {
      return { finding: { severity: 'notice', message: 'the service does not have it' } }
    }
    throw thrown
  }
}
