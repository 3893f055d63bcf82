import {
  type CallOptions,
  CONTENT_PREFIXES,
  documentationOf,
  type Finding,
  isS3loError,
} from '@s3lo/core/plugin'
import { RequestError } from '@s3lo/core/transfer'
import type { S3Request } from './s3-request.ts'
import type { S3Service } from './s3-service.ts'
import { elementsOf, textOf, type XmlElement } from './xml.ts'

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
): Promise<Answer<readonly XmlElement[]>> {
  const request = {
    operation: 'GetBucketLifecycleConfiguration',
    query: { lifecycle: '' },
  } as const
  const answer = await ask(service, options, request)
  if ('finding' in answer) return answer
  const rules = answer.value ? elementsOf(answer.value, 'Rule') : []
  return { value: rules.filter(isEnabled) }
}

async function checkVersioning(
  service: S3Service,
  lifecycle: Answer<readonly XmlElement[]>,
  options: CallOptions,
): Promise<Finding> {
  const request = { operation: 'GetBucketVersioning', query: { versioning: '' } } as const
  const answer = await ask(service, options, request)
  if ('finding' in answer) return named('versioning', answer.finding)
  const status = answer.value && textOf(answer.value, 'Status')
  if (status !== 'Enabled' && status !== 'Suspended') {
    return { severity: 'ok', message: 'versioning is off: what is deleted frees its space' }
  }
  const rules = 'value' in lifecycle ? lifecycle.value : []
  if (rules.some((rule) => has(rule, 'NoncurrentVersionExpiration'))) {
    return { severity: 'ok', message: 'old versions expire by a lifecycle rule' }
  }
  const message =
    status === 'Enabled'
      ? 'versioning is on: what is deleted stays as an old version and is paid for'
      : 'versioning was on: what was deleted then stays as an old version and is paid for'
  const hint = 'expire old versions by a lifecycle rule: NoncurrentVersionExpiration'
  return { severity: 'notice', message, hint }
}

function* judgeRules(rules: readonly XmlElement[]): Generator<Finding, void> {
  const ofContent = rules.filter(touchesContent)
  if (
    ofContent.some((rule) => has(rule, 'Expiration', 'Days') || has(rule, 'Expiration', 'Date'))
  ) {
    yield {
      severity: 'problem',
      message: 'a lifecycle rule deletes objects by age: it destroys images that are still tagged',
      hint: 'remove the rule and set lifecycle.max_age in s3lo.yaml: s3lo clean knows what is used',
    }
  }
  const classes = ofContent
    .flatMap((rule) => elementsOf(rule, 'Transition'))
    .map((transition) => textOf(transition, 'StorageClass') ?? '')
  const offline = classes.find((name) => OFFLINE.has(name))
  if (offline !== undefined) {
    yield {
      severity: 'problem',
      message: `a lifecycle rule moves objects to ${offline}: images there cannot be pulled`,
      hint: 'use GLACIER_IR or INTELLIGENT_TIERING, which can be read at once',
    }
  }
  if (rules.some((rule) => has(rule, 'AbortIncompleteMultipartUpload'))) {
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
function touchesContent(rule: XmlElement): boolean {
  const prefix =
    textAt(rule, 'Filter', 'Prefix') ??
    textAt(rule, 'Filter', 'And', 'Prefix') ??
    textAt(rule, 'Prefix') ??
    ''
  return CONTENT_PREFIXES.some((place) => place.startsWith(prefix) || prefix.startsWith(place))
}

async function checkObjectLock(
  service: S3Service,
  options: CallOptions,
): Promise<readonly Finding[]> {
  const request = { operation: 'GetObjectLockConfiguration', query: { 'object-lock': '' } } as const
  const answer = await ask(service, options, request)
  // What cannot be asked is most often not there, and nothing depends on it.
  if ('finding' in answer) return []
  const [mode, days, years] = ['Mode', 'Days', 'Years'].map(
    (name) => answer.value && textAt(answer.value, 'Rule', 'DefaultRetention', name),
  )
  if (mode === undefined) return []
  const time = years === undefined ? `${days} days` : `${years} years`
  return [
    {
      severity: 'notice',
      message: `Object Lock (${mode}) keeps every version for ${time}: what is deleted frees nothing before that`,
      hint: `what that is good for: ${documentationOf('immutability.md')}`,
    },
  ]
}

async function checkTiering(service: S3Service, options: CallOptions): Promise<Finding> {
  const request = {
    operation: 'ListBucketIntelligentTieringConfigurations',
    query: { 'intelligent-tiering': '' },
  } as const
  const answer = await ask(service, options, request)
  if ('finding' in answer) return named('Intelligent-Tiering', answer.finding)
  const settings = answer.value ? elementsOf(answer.value, 'IntelligentTieringConfiguration') : []
  if (!settings.some(isEnabled)) {
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

function isEnabled(rule: XmlElement): boolean {
  return textOf(rule, 'Status') === 'Enabled'
}

function has(element: XmlElement, ...path: readonly string[]): boolean {
  return textAt(element, ...path) !== undefined
}

/** The text of the element that is reached by these names. */
function textAt(element: XmlElement, ...path: readonly string[]): string | undefined {
  let place: XmlElement | undefined = element
  for (const name of path) place = place && elementsOf(place, name)[0]
  return place?.text
}

/** The answer, `undefined` where nothing is configured; a finding where it cannot be known. */
async function ask(
  service: S3Service,
  { signal }: CallOptions,
  request: S3Request,
): Promise<Answer<XmlElement | undefined>> {
  const what = `s3://${service.bucket}`
  try {
    const { document } = await service.tryCall({ what, signal }, (attempt) =>
      service.request(request, attempt),
    )
    return { value: document }
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
