import {
  assertValid,
  formatImageName,
  type ImageStore,
  isS3loError,
  type ManifestDocument,
  type ProgressOptions,
  type Reference,
  S3loError,
  type ValidationTools,
} from '@s3lo/core'
import type { CallOptions } from '@s3lo/core/plugin'
import { Refusal } from '../answer/error.ts'
import { isAttachment } from './attachment.ts'
import { withinTime } from './within-time.ts'

/**
 * Holds an image that is about to get a tag against the policies of the store that every push is held
 * against. Throws a refusal (`DENIED`) naming those that it fails, and what a policy without an answer
 * throws. Policies that only warn are notices.
 */
export type JudgePush = (
  root: ManifestDocument,
  reference: Reference,
  options: CallOptions & ProgressOptions,
) => Promise<void>

/** What all policies may take together (milliseconds): a client waits. */
const PATIENCE_MS = 20_000

export function createPushPolicies(
  store: ImageStore,
  tools: ValidationTools,
  patience = PATIENCE_MS,
): JudgePush {
  const { scheme, bucket } = store.backend
  return async (root, reference, { onProgress, signal: outer }) => {
    const { tag } = reference
    if (tag?.startsWith('sha') && isAttachment(root.manifest, { tag })) return
    const published = { scheme, bucket, ...reference }
    const judge = (signal: AbortSignal): Promise<void> =>
      assertValid(store, published, root, tools, {
        onlyEnforced: true,
        isHasty: true,
        onProgress,
        signal,
      })
    await withinTime(judge, patience, outer).catch((error: unknown) => {
      throw refusalOf(error, formatImageName(reference))
    })
  }
}

function refusalOf(error: unknown, name: string): unknown {
  const policies = isS3loError(error, 'FORBIDDEN') ? error.details?.policies : undefined
  if (policies === undefined) return error
  return new Refusal('DENIED', `${name} is not published: it fails ${policies}`)
}

/** Of a registry that was given no plugins: a policy that cannot be asked is never passed. */
export const NO_TOOLS: ValidationTools = {
  env: {},
  findCheck: (name) =>
    Promise.reject(new S3loError('PLUGIN_NOT_INSTALLED', `there is nothing that checks ${name}`)),
}
