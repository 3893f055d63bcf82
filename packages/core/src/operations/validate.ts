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
import type { Reference } from '../oci/reference.ts'
import { readHistory } from '../store/history.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { StoreSource } from '../contract/store-facts.ts'
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
  return validateRoot(store, reference, { root, publishedAt }, tools, options)
}

/**
 * Holds an image against the policies before it is published: everything below `root` is in the
 * store. Throws `FORBIDDEN` naming what failed.
 */
export async function assertValid(
  store: StoreSource,
  reference: StoreReference,
  root: ManifestDocument,
  tools: ValidationTools,
  options: ValidateOptions = {},
): Promise<void> {
  const publishedAt = tools.now?.() ?? new Date()
  const { results, reference: name } = await validateRoot(
    store,
    reference,
    { root, publishedAt },
    tools,
    options,
  )
  const failed = results.filter(({ passed }) => !passed)
  if (failed.length === 0) return
  const reasons = failed.map((each) => each.name + (each.message ? ` (${each.message})` : ''))
  // Where every policy that did not pass has no answer, the image is not at fault.
  const unanswered = failed.every(({ error }) => error) ? failed[0]?.error : undefined
  const verdict = unanswered ? 'there is no answer of' : 'it fails'
  throw new S3loError(
    unanswered?.code ?? 'FORBIDDEN',
    `${name} is not published: ${verdict} ${reasons.join(', ')}`,
    {
      hint:
        unanswered?.hint ??
        'the content is in the store and no tag names it; fix the image and push again',
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

async function validateRoot(
  store: StoreSource,
  reference: StoreReference,
  { root, publishedAt }: Pick<PolicySubject, 'root' | 'publishedAt'>,
  { findCheck, env, now = () => new Date() }: ValidationTools,
  { settings = {}, signal, onProgress }: ValidateOptions,
): Promise<ValidateResult> {
  const { policies = [] } = await store.config({ signal })
  const subject: PolicySubject = {
    name: formatReference(reference),
    reference,
    root,
    source: store,
    publishedAt,
  }
  const rules = policies.filter((rule) => concerns(rule, reference))
  const results: PolicyResult[] = []
  for (const rule of rules) {
    const options = { env, now: now(), settings, signal, onProgress }
    const verdict = await verdictOf(rule, subject, findCheck, options)
    results.push({ name: rule.name, check: rule.check, ...verdict })
  }
  return {
    reference: subject.name,
    results,
    all_passed: results.every(({ passed }) => passed),
  }
}

async function verdictOf(
  rule: PolicyRule,
  subject: PolicySubject,
  findCheck: ValidationTools['findCheck'],
  options: PolicyCheckOptions,
): Promise<Pick<PolicyResult, 'passed' | 'message' | 'error'>> {
  try {
    const check = await findCheck(rule.check)
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
