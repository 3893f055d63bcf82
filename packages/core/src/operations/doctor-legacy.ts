import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { isS3loError } from '../errors.ts'
import { planGraph } from '../graph/plan.ts'
import { formatTag } from '../layout/format-store.ts'
import { blobKey, legacyBlobKey, legacyPrefix } from '../layout/keys.ts'
import type { TagName } from '../layout/parse-key.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { BlobProblem, ManifestIssue } from './manifest-issue.ts'

const TAGS_AT_ONCE = 10

/**
 * Checks tags of layout v1.0.0, whose blobs are in their own folders: that each is there, as long as
 * it should be and, when deep, has its digest.
 */
export async function checkLegacyTags(
  store: ImageStore,
  tags: readonly TagName[],
  { deep, signal: outer }: CallOptions & { readonly deep: boolean },
): Promise<readonly ManifestIssue[]> {
  const issues: (ManifestIssue | undefined)[] = []
  await forEachConcurrent(
    tags.entries(),
    TAGS_AT_ONCE,
    async ([i, tag], signal) => {
      issues[i] = await checkTag(store, tag, { deep, signal })
    },
    outer,
  )
  return issues.filter((issue) => issue !== undefined)
}

async function checkTag(
  store: ImageStore,
  { image, tag }: TagName,
  { deep, ...options }: CallOptions & { readonly deep: boolean },
): Promise<ManifestIssue | undefined> {
  const reference = { name: image, tag }
  const plan = await orImageFault(async () => {
    const document = await store.find(reference, options)
    return document && planGraph(store, document, options)
  })
  const ref = formatTag(store.backend, image, tag)
  const found = {
    image: `${image}:${tag}`,
    hint: `push it again, or remove it: s3lo delete ${ref}`,
  }
  if (isS3loError(plan)) return { ...found, message: plan.message }
  const blobs: BlobProblem[] = []
  for (const { descriptor } of plan?.blobs ?? []) {
    const look = deep ? hashBlob : findBlob
    const problem = await look(store, reference, descriptor, options)
    const { digest, size } = descriptor
    if (problem) blobs.push({ digest, size, role: 'blob', problem })
  }
  if (blobs.length === 0) return undefined
  const message = blobs.map(({ problem, digest }) => `${problem} blob ${digest}`).join('; ')
  return { ...found, message, blobs }
}

type Look = (
  store: ImageStore,
  reference: { readonly name: string; readonly tag: string },
  blob: Descriptor,
  options: CallOptions,
) => Promise<BlobProblem['problem'] | undefined>

const findBlob: Look = async ({ backend }, reference, { digest, size }, options) => {
  const own = legacyBlobKey(legacyPrefix(reference) ?? '', digest)
  // Readers look among the blobs of the bucket first.
  const info = (await backend.head(blobKey(digest), options)) ?? (await backend.head(own, options))
  if (!info) return 'missing'
  return info.size === size ? undefined : 'damaged'
}

const hashBlob: Look = async (store, _, blob, options) => {
  const fault = await orImageFault(async () => {
    for await (const __ of await store.fetch(blob, options)) options.signal?.throwIfAborted()
    return undefined
  })
  if (!fault) return undefined
  if (fault.code === 'NOT_FOUND') return 'missing'
  return fault.code === 'INTEGRITY' ? 'damaged' : 'unreadable'
}
