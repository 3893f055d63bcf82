import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  type LifecycleRule,
  ListBucketIntelligentTieringConfigurationsCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import {
  type CallOptions,
  CONTENT_PREFIXES,
  documentationOf,
  type Finding,
  isS3loError,
} from '@s3lo/core/plugin'
import { RequestError } from '@s3lo/core/transfer'
import type { S3Service } from './s3-service.ts'

/** The classes from which an object has to be restored, for hours, before it can be read. */
const OFFLINE: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE'])

/** What a health check says about the bucket's own settings. */
export async function* diagnose(
  service: S3Service,
  options: CallOptions,
): AsyncGenerator<Finding, void> {
  const lifecycle = await askLifecycle(service, options)
  yield await checkVersioning(service, lifecycle, options)
  if ('finding' in lifecycle) yield named('lifecycle', lifecycle.finding)
  else yield* judgeRules(lifecycle.value)
  yield* await checkObjectLock(service, options)
  yield await checkTiering(service, options)
}

type Answer<T> = { readonly value: T } | { readonly finding: Finding }

async function askLifecycle(
  service: S3Service,
  options: CallOptions,
): Promise<Answer<readonly LifecycleRule[]>> {
  const input = { Bucket: service.bucket }
  const answer = await ask(service, options, (client, abortSignal) =>
    client.send(new GetBucketLifecycleConfigurationCommand(input), { abortSignal }),
  )
  if ('finding' in answer) return answer
  const rules = answer.value?.Rules ?? []
  return { value: rules.filter(({ Status }) => Status === 'Enabled') }
}

async function checkVersioning(
  service: S3Service,
  lifecycle: Answer<readonly LifecycleRule[]>,
  options: CallOptions,
): Promise<Finding> {
  const input = { Bucket: service.bucket }
  const answer = await ask(service, options, (client, abortSignal) =>
    client.send(new GetBucketVersioningCommand(input), { abortSignal }),
  )
  if ('finding' in answer) return named('versioning', answer.finding)
  const status = answer.value?.Status
  if (status !== 'Enabled' && status !== 'Suspended') {
    return { severity: 'ok', message: 'versioning is off: what is deleted frees its space' }
  }
  const rules = 'value' in lifecycle ? lifecycle.value : []
  if (rules.some((rule) => rule.NoncurrentVersionExpiration)) {
    return { severity: 'ok', message: 'old versions expire by a lifecycle rule' }
  }
  const message =
    status === 'Enabled'
      ? 'versioning is on: what is deleted stays as an old version and is paid for'
      : 'versioning was on: what was deleted then stays as an old version and is paid for'
  const hint = 'expire old versions by a lifecycle rule: NoncurrentVersionExpiration'
  return { severity: 'notice', message, hint }
}

function* judgeRules(rules: readonly LifecycleRule[]): Generator<Finding, void> {
  const ofContent = rules.filter(touchesContent)
  if (ofContent.some(({ Expiration: rule }) => rule?.Days !== undefined || rule?.Date)) {
    yield {
      severity: 'problem',
      message: 'a lifecycle rule deletes objects by age: it destroys images that are still tagged',
      hint: 'remove the rule and set lifecycle.max_age in s3lo.yaml: s3lo clean knows what is used',
    }
  }
  const transitions = ofContent.flatMap(({ Transitions = [] }) => Transitions)
  const offline = transitions.find(({ StorageClass = '' }) => OFFLINE.has(StorageClass))
  if (offline) {
    yield {
      severity: 'problem',
      message: `a lifecycle rule moves objects to ${offline.StorageClass}: images there cannot be pulled`,
      hint: 'use GLACIER_IR or INTELLIGENT_TIERING, which can be read at once',
    }
  }
  if (rules.some((rule) => rule.AbortIncompleteMultipartUpload)) {
    yield { severity: 'ok', message: 'interrupted uploads are removed by a rule' }
    return
  }
  yield {
    severity: 'notice',
    message: 'no lifecycle rule removes interrupted uploads, which are paid for',
    hint: 'add a rule with AbortIncompleteMultipartUpload, for example after 7 days',
  }
}

/** Rules are for a prefix; one that is selected by tags or sizes is taken for all that have it. */
function touchesContent({ Filter, Prefix }: LifecycleRule): boolean {
  const prefix = Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? ''
  return CONTENT_PREFIXES.some((place) => place.startsWith(prefix) || prefix.startsWith(place))
}

async function checkObjectLock(
  service: S3Service,
  options: CallOptions,
): Promise<readonly Finding[]> {
  const input = { Bucket: service.bucket }
  const answer = await ask(service, options, (client, abortSignal) =>
    client.send(new GetObjectLockConfigurationCommand(input), { abortSignal }),
  )
  // What cannot be asked is most often not there, and nothing depends on it.
  if ('finding' in answer) return []
  const { Mode, Days, Years } = answer.value?.ObjectLockConfiguration?.Rule?.DefaultRetention ?? {}
  if (Mode === undefined) return []
  const time = Years === undefined ? `${Days} days` : `${Years} years`
  return [
    {
      severity: 'notice',
      message: `Object Lock (${Mode}) keeps every version for ${time}: what is deleted frees nothing before that`,
      hint: `what that is good for: ${documentationOf('immutability.md')}`,
    },
  ]
}

async function checkTiering(service: S3Service, options: CallOptions): Promise<Finding> {
  const input = { Bucket: service.bucket }
  const answer = await ask(service, options, (client, abortSignal) =>
    client.send(new ListBucketIntelligentTieringConfigurationsCommand(input), { abortSignal }),
  )
  if ('finding' in answer) return named('Intelligent-Tiering', answer.finding)
  const archives = (answer.value?.IntelligentTieringConfigurationList ?? []).filter(
    ({ Status }) => Status === 'Enabled',
  )
  if (archives.length === 0) {
    return {
      severity: 'ok',
      message: 'Intelligent-Tiering has no archive tiers: all that it holds can be read at once',
      tiering: 'not configured',
    }
  }
  return {
    severity: 'notice',
    message: 'Intelligent-Tiering moves what is not read to archive tiers: pulling that fails',
    hint: 'remove the archive tiers; the others need no configuration and are read at once',
    tiering: 'enabled',
  }
}

function named(subject: string, finding: Finding): Finding {
  return { ...finding, message: `${subject}: ${finding.message}` }
}

/** The answer, `undefined` where nothing is configured; a finding where it cannot be known. */
async function ask<T>(
  service: S3Service,
  { signal }: CallOptions,
  call: (client: S3Client, signal: AbortSignal) => Promise<T>,
): Promise<Answer<T | undefined>> {
  const what = `s3://${service.bucket}`
  try {
    const value = await service.trySend({ what, signal }, (client, attempt) =>
      call(client, attempt.signal),
    )
    return { value }
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    const { status, reason, error: thrown } = error.failure
    if (status === 404 && reason !== 'NoSuchBucket') return { value: undefined }
    if (isS3loError(thrown, 'FORBIDDEN')) {
      return { finding: { severity: 'notice', message: 'the credentials may not look at it' } }
    }
    if (isS3loError(thrown, 'UNSUPPORTED')) {
      return { finding: { severity: 'notice', message: 'the service does not have it' } }
    }
    throw thrown
  }
}
