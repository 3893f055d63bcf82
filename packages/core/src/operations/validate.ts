import type {
  PolicyCheckModule,
  PolicyCheckOptions,
  PolicySubject,
} from '../contract/policy-check.ts'
import type { PolicyRule } from '../contract/policy-rule.ts'
import { matchesGlob } from '../config/glob.ts'
import { historyKey, manifestKey } from '../layout/keys.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { readHistory } from '../store/history.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StoreFacts, StoreSource } from '../contract/store-facts.ts'
import { type ErrorCode, isS3loError, S3loError } from '../errors.ts'
import type { OperationOptions } from './options.ts'

/** What a validation needs beside the image. */
export interface ValidationTools {
  /** The check of a name. Throws `PLUGIN_NOT_INSTALLED`: a check without a plugin never passes. */
  readonly findCheck: (name: string) => Promise<PolicyCheckModule>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Default: the process's clock. */
  readonly now?: (() => Date) | undefined
}

export interface ValidateOptions extends OperationOptions {
  /** What the command line says to one kind of check, such as `installTrivy`. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
}

/** Which policies decide about an image that is about to be published. */
export interface PublishChecks extends ValidateOptions {
  /** Only those that every push is held against; what fails those that warn is a notice. Default: all. */
  readonly onlyEnforced?: boolean | undefined
  /** A check that may run for minutes is not run and has no answer. */
  readonly isHasty?: boolean | undefined
}

/** What one policy says of an image. */
export interface PolicyResult {
  readonly name: string
  readonly check: string
  readonly passed: boolean
  /** Why, in a few words. */
  readonly message?: string
  /** Why there is no answer; a policy without one has not passed. */
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly hint?: string }
}

/** What the policies of a bucket say of an image; field names are those of `--output json`. */
export interface ValidateResult {
  readonly reference: string
  readonly results: readonly PolicyResult[]
  readonly all_passed: boolean
}

/**
 * Holds a published image against the `policies:` of its bucket, in the order of the file, and
 * reports each. A check that cannot answer is that policy's error, never a pass.
 */
export async function validate(
  store: ImageStore,
  reference: StoreReference,
  tools: ValidationTools,
  options: ValidateOptions = {},
): Promise<ValidateResult> {
  const root = await store.read(reference, options)
  const publishedAt = await lastWritten(store, reference, root, options)
  const judged = await judge(store, reference, { root, publishedAt }, tools, options)
  const results = judged.map(({ result }) => result)
  return {
    reference: formatReference(reference),
    results,
    all_passed: results.every(({ passed }) => passed),
  }
}

/**
 * Holds an image against the policies before it is published: everything below `root` is in the
 * store. Throws `FORBIDDEN` naming what failed (`details.policies`), and the error of a check where no
 * other one failed.
 */
export async function assertValid(
  store: StoreSource,
  reference: StoreReference,
  root: ManifestDocument,
  tools: ValidationTools,
  options: PublishChecks = {},
): Promise<void> {
  const publishedAt = tools.now?.() ?? new Date()
  const subject = { root, publishedAt }
  const judged = await judge(store, reference, subject, tools, options)
  const name = formatReference(reference)
  const failed = judged.filter(({ result }) => !result.passed)
  const warns = ({ rule }: Judged): boolean =>
    options.onlyEnforced === true && rule.enforce === 'warn'
  for (const each of failed.filter(warns)) {
    const message = `${formatImageName(reference)} fails the policy ${reasonOf(each)}`
    options.onProgress?.({ type: 'notice', code: 'policy-warning', message })
  }
  const refusing = failed.filter((each) => !warns(each))
  if (refusing.length > 0) throw notPublished(name, refusing)
}

function notPublished(name: string, failed: readonly Judged[]): S3loError {
  // Where every policy that did not pass has no answer, the image is not at fault.
  const unanswered = failed.every(({ result }) => result.error)
    ? failed[0]?.result.error
    : undefined
  const verdict = unanswered ? 'there is no answer of' : 'it fails'
  const reasons = failed.map(reasonOf).join(', ')
  return new S3loError(
    unanswered?.code ?? 'FORBIDDEN',
    `${name} is not published: ${verdict} ${reasons}`,
    {
      ...(unanswered ? {} : { details: { policies: reasons } }),
      hint:
        unanswered?.hint ??
        'the content is in the store and no tag names it; fix the image and push again',
    },
  )
}

function reasonOf({ result: { name, message } }: Judged): string {
  return name + (message ? ` (${message})` : '')
}

/**
 * Throws what keeps the policies that every push is held against from being asked by a server:
 * `PLUGIN_NOT_INSTALLED` for a check that is missing, `USAGE` for a slow one.
 */
export async function assertEnforceable(
  store: StoreFacts,
  { findCheck }: Pick<ValidationTools, 'findCheck'>,
  { signal }: CallOptions = {},
): Promise<void> {
  const { policies = [] } = await store.config({ signal })
  for (const rule of policies) {
    if (rule.enforce) assertHasty(rule, await findCheck(rule.check))
  }
}

function assertHasty({ name, check }: PolicyRule, { isSlow }: PolicyCheckModule): void {
  if (!isSlow) return
  throw new S3loError(
    'USAGE',
    `policy ${name}: the check ${check} is too slow for a server's push`,
    {
      hint: 'leave its enforce out, and ask it where there is time: see s3lo config validate --help',
    },
  )
}

/** Throws `FORBIDDEN` where no policy of the bucket is about the image: nothing would be judged. */
export async function assertPolicies(
  store: StoreSource,
  image: string,
  { signal }: ValidateOptions = {},
): Promise<void> {
  const { policies = [] } = await store.config({ signal })
  if (policies.some((rule) => concerns(rule, { name: image }))) return
  const what = policies.length > 0 ? `no policy about ${image}` : 'no policies'
  throw new S3loError('FORBIDDEN', `s3lo.yaml of ${store.name} has ${what} to validate against`, {
    hint: `if there was one, find out what took it away; to publish without: --allow-no-policies`,
  })
}

interface Judged {
  readonly rule: PolicyRule
  readonly result: PolicyResult
}

async function judge(
  store: StoreSource,
  reference: StoreReference,
  { root, publishedAt }: Pick<PolicySubject, 'root' | 'publishedAt'>,
  tools: ValidationTools,
  { settings = {}, onlyEnforced = false, isHasty = false, signal, onProgress }: PublishChecks,
): Promise<readonly Judged[]> {
  const { env, now = () => new Date() } = tools
  const { policies = [] } = await store.config({ signal })
  const subject: PolicySubject = {
    name: formatReference(reference),
    reference,
    root,
    source: store,
    publishedAt,
  }
  const rules = policies.filter(
    (rule) => concerns(rule, reference) && (rule.enforce !== undefined || !onlyEnforced),
  )
  const judged: Judged[] = []
  for (const rule of rules) {
    const options = { env, now: now(), settings, signal, onProgress }
    const verdict = await verdictOf(rule, subject, { ...tools, isHasty }, options)
    judged.push({ rule, result: { name: rule.name, check: rule.check, ...verdict } })
  }
  return judged
}

async function verdictOf(
  rule: PolicyRule,
  subject: PolicySubject,
  { findCheck, isHasty }: Pick<ValidationTools, 'findCheck'> & { readonly isHasty: boolean },
  options: PolicyCheckOptions,
): Promise<Pick<PolicyResult, 'passed' | 'message' | 'error'>> {
  try {
    const check = await findCheck(rule.check)
    if (isHasty) assertHasty(rule, check)
    const { passed, message } = await check.checkPolicy(rule, subject, options)
    return { passed, ...(message === undefined ? {} : { message }) }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!isS3loError(error)) throw error
    const { code, message, hint } = error
    const reason = { code, message, ...(hint === undefined ? {} : { hint }) }
    return { passed: false, message, error: reason }
  }
}

function concerns({ images }: PolicyRule, { name }: Reference): boolean {
  return images?.some((pattern) => pattern === name || matchesGlob(pattern, name)) ?? true
}

/** By the history; by the tag's object where the newest entry is of another image, or none can be read. */
async function lastWritten(
  store: StoreSource,
  reference: StoreReference,
  { descriptor }: ManifestDocument,
  { signal }: ValidateOptions,
): Promise<Date | undefined> {
  if (reference.tag === undefined) return undefined
  const history = await orImageFault(() =>
    readHistory(store.backend, historyKey(reference), { signal }),
  )
  const [newest] = isS3loError(history) ? [] : history
  if (!newest && !isS3loError(history)) return undefined
  if (newest?.digest === descriptor.digest) return new Date(newest.pushed_at)
  return (await store.backend.head(manifestKey(reference), { signal }))?.lastModified
}
