import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget } from '../contract/image-target.ts'
import type { GraphPlan } from '../graph/plan.ts'
import { readManifest } from '../graph/read-manifest.ts'
import { type SourceEnd, type TargetEnd, transferImage } from '../graph/transfer.ts'
import { parsePlatform } from '../oci/platform.ts'
import type { Reference } from '../oci/reference.ts'
import { ImageStore } from '../store/image-store.ts'
import { copySignatures, signatureKeys } from '../store/signature-records.ts'
import type { ForceOptions, OperationOptions, PublishOptions } from './options.ts'
import { assertTagged, tagPolicy } from './tag-policy.ts'

export interface CopyOptions extends OperationOptions, ForceOptions, PublishOptions {
  /** `os/arch[/variant]`: only these; default everything, attestations included. */
  readonly platforms?: readonly string[] | undefined
  /** Whether what refers to the image (signatures, SBOMs) travels with it; default `all`. */
  readonly referrers?: 'all' | 'none' | undefined
}

/** What a copy moved; field names are those of `--output json`. */
export interface CopyResult {
  /** Of the manifest or index that was published. */
  readonly digest: string
  readonly blobs_copied: number
  readonly blobs_skipped: number
  readonly bytes_copied: number
  /** Image manifests copied, attestations included; 1 for a single image. */
  readonly platforms: number
  readonly referrers_copied: number
  /** Records of `s3lo sign` that stayed behind: they hold only for the place that they were made for. */
  readonly signatures_dropped: number
}

/** Copies an image from anywhere to anywhere, tagging it only once everything it names is in place. */
export async function copy(
  from: SourceEnd,
  to: TargetEnd,
  options: CopyOptions = {},
): Promise<CopyResult> {
  assertTagged(to.reference, 'copy to')
  const platforms = options.platforms?.map(parsePlatform) ?? []
  const { target } = to
  const policy =
    target instanceof ImageStore ? await tagPolicy(target, to.reference, options) : undefined
  let referrersCopied = 0
  const { plan, sourceRoot, ...moved } = await transferImage(from, to, {
    ...options,
    selection: platforms.length > 0 ? { kind: 'platforms', platforms } : { kind: 'all' },
    tagOptions: () => policy ?? {},
    beforeTag: async (planned) => {
      await options.beforePublish?.(planned.root)
      if (options.referrers === 'none' || target.kind !== 'random-access') return
      if (from.source.kind !== 'random-access') return
      referrersCopied = await copyReferrers(from.source, target, planned, options)
    },
  })
  const unchanged = plan.root.descriptor.digest === sourceRoot.descriptor.digest
  return {
    digest: plan.root.descriptor.digest,
    blobs_copied: moved.blobsCopied,
    blobs_skipped: moved.blobsSkipped,
    bytes_copied: moved.bytesCopied,
    platforms: plan.manifests,
    referrers_copied: referrersCopied,
    signatures_dropped: await carrySignatures(from, to, unchanged, options),
  }
}

/** Copies what refers to the image or to one of its manifests. Returns how many. */
async function copyReferrers(
  source: ImageSource,
  target: ImageTarget,
  plan: GraphPlan,
  { signal }: OperationOptions,
): Promise<number> {
  if (!source.referrers || !target.attach) return 0
  let copied = 0
  for (const { descriptor: subject } of [plan.root, ...plan.documents]) {
    for await (const referrer of source.referrers(subject, { signal })) {
      const { document } = await readManifest(source, referrer, { signal })
      await target.attach(document, subject, (blob) => source.fetch(blob, { signal }), { signal })
      copied++
    }
  }
  return copied
}

/**
 * Signature records name bucket, image and tag, so they travel only where all three stay what they
 * were and the manifest did too. Returns how many stayed behind.
 */
async function carrySignatures(
  from: SourceEnd,
  to: TargetEnd,
  unchanged: boolean,
  { signal }: OperationOptions,
): Promise<number> {
  const { source, reference } = from
  if (!(source instanceof ImageStore) || reference.digest !== undefined) return 0
  const { target } = to
  const samePlace =
    target instanceof ImageStore &&
    target.backend.bucket === source.backend.bucket &&
    isSameTag(reference, to.reference)
  if (samePlace && unchanged) {
    // Onto itself there is nothing to carry.
    if (target.backend.scheme === source.backend.scheme) return 0
    await copySignatures(source.backend, target.backend, reference, { signal })
    return 0
  }
  let dropped = 0
  for await (const _ of signatureKeys(source.backend, reference, { signal })) dropped++
  return dropped
}

function isSameTag(a: Reference, b: Reference): boolean {
  return a.name === b.name && a.tag === b.tag
}
