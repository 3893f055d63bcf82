import {
  assertEnforceable,
  type ErrorCode,
  formatReference,
  type ImageStore,
  isS3loError,
  MEDIA_TYPE,
  SIGNED_CHECK,
  toDocument,
  type ValidationTools,
} from '@s3lo/core'
import type { CallOptions, PolicyRule } from '@s3lo/core/plugin'

interface Judged {
  readonly readOnly: boolean
  readonly verifyRules: readonly PolicyRule[]
}

/**
 * Throws what would keep a server from judging images: a policy whose check is missing or slow, a key
 * that is none. A store or key service that cannot be reached now may be there at the first request.
 */
export async function assertJudges(
  store: ImageStore,
  tools: ValidationTools,
  { readOnly, verifyRules }: Judged,
  options: CallOptions,
): Promise<void> {
  if (!readOnly) {
    await unless(['UNAVAILABLE', 'INTEGRITY', 'NOT_FOUND', 'FORBIDDEN'], () =>
      assertEnforceable(store, tools, options),
    )
  }
  if (verifyRules.length === 0) return
  const check = await tools.findCheck(SIGNED_CHECK)
  const { scheme, bucket } = store.backend
  // An index of nothing, which no key has signed: the check opens its key before it looks.
  const root = toDocument(Buffer.from('{"schemaVersion":2,"manifests":[]}'), MEDIA_TYPE.ociIndex)
  const reference = { scheme, bucket, name: 's3lo', digest: root.descriptor.digest }
  const name = formatReference(reference)
  const subject = { name, reference, root, source: store, publishedAt: undefined }
  for (const rule of verifyRules) {
    const asked = { ...options, env: tools.env, now: new Date(), settings: {} }
    await unless(['UNAVAILABLE'], async () => void (await check.checkPolicy(rule, subject, asked)))
  }
}

/** Faults of these codes are left to the requests that meet them. */
async function unless(codes: readonly ErrorCode[], check: () => Promise<void>): Promise<void> {
  try {
    await check()
  } catch (error) {
    if (!codes.some((code) => isS3loError(error, code))) throw error
  }
}
