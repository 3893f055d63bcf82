import type { ImageSource } from '../contract/image-source.ts'
import type { Publication } from '../contract/image-target.ts'
import { isStore } from '../contract/store-facts.ts'
import { isImmutable } from '../config/effective-config.ts'
import { copyReferrers } from '../graph/copy-referrers.ts'
import { contentSize, type GraphPlan, planGraph } from '../graph/plan.ts'
import { asSource } from '../graph/present.ts'
import { readManifest } from '../graph/read-manifest.ts'
import { ReferrerFinder } from '../graph/referrers.ts'
import type { Selection } from '../graph/select.ts'
import { planTransfer, transferImage } from '../graph/transfer.ts'
import type { SelectedImage, SourceEnd, TargetEnd } from '../graph/transfer-request.ts'
import { withPublication } from '../graph/with-publication.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { parsePlatform } from '../oci/platform.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { reportPresent } from '../progress/blob-report.ts'
import { copySignatures, signatureKeys } from '../store/signature-records.ts'
import type { ForceOptions, OperationOptions, PublishOptions, VerifyOptions } from './options.ts'
import { assertTagged, tagPolicy } from './tag-policy.ts'
import { verification, verifiedDigest, verifyPresent } from './verify-source.ts'

export interface CopyOptions extends OperationOptions, ForceOptions, PublishOptions, VerifyOptions {
  /** `os/arch[/variant]`: only these; default everything, attestations included. */
  readonly platforms?: readonly string[] | undefined
  /**
   * Whether what refers to the image (signatures, SBOMs) travels with it. By default it does as far
   * as the source shows it, and what a source refuses to show is a notice; with `all`, an error.
   */
  readonly referrers?: 'all' | 'none' | undefined
  /** Writes nothing: the result says what would be copied. */
  readonly dryRun?: boolean | undefined
}

/** What a copy moved; field names are those of `--output json`. */
export interface CopyResult {
  /** Of the manifest or index that was published. */
  readonly digest: string
  /** Configs and layers of the image, each digest once. */
  readonly bytes: number
  readonly blobs_copied: number
  readonly blobs_skipped: number
  /** Of layers in chunks: of the chunks that the target did not have. */
  readonly bytes_copied: number
  /** Of the layers that another store had in chunks, and that were taken so; absent where there are none. */
  readonly chunks?: number
  readonly chunks_copied?: number
  /** Manifests that were copied and are no attestations; 1 for a single image. */
  readonly platforms: number
  /** What the index says about its images: provenance, SBOMs of BuildKit. */
  readonly attestations: number
  /** Layers that only their maker distributes: they stay where their URLs say. */
  readonly foreign_layers: number
  readonly referrers_copied: number
  /** What holds for the whole image only, of which not all platforms were taken. */
  readonly referrers_dropped: readonly DroppedReferrer[]
  /** Records of `s3lo sign` that stayed behind: they hold only for the place that they were made for. */
  readonly signatures_dropped: number
  /** Of the manifest that was verified, even if the tag was moved since; there with `verifySource`. */
  readonly verified_digest?: string
  /** There and true when nothing was written. */
  readonly dry_run?: true
}

/** A signature, SBOM or the like that would not verify beside the copy. */
export interface DroppedReferrer {
  readonly digest: string
  readonly artifact_type?: string
  /** cosign's tag. */
  readonly tag?: string
}

/** What does not travel with an image. */
interface LeftBehind {
  readonly referrers: readonly DroppedReferrer[]
  readonly signatures: number
}

/** Copies an image from anywhere to anywhere, tagging it only once everything it names is in place. */
export async function copy(
  from: SourceEnd,
  to: TargetEnd,
  options: CopyOptions = {},
): Promise<CopyResult> {
  const { dryRun = false } = options
  assertTagged(to.reference, 'copy to')
  const { target } = to
  const policy = isStore(target) ? await tagPolicy(target, to.reference, options) : undefined
  let referrersCopied = 0
  // What stays behind is looked for first: once the tag is written, no look may fail the copy.
  let left: LeftBehind = { referrers: [], signatures: 0 }
  let finder: ReferrerFinder | undefined
  const request = {
    ...options,
    selection: toSelection(options.platforms),
    admit: policy?.admit,
    tagOptions: () => policy?.options ?? {},
    ...verification(from, options),
    selected: async (image: SelectedImage) => {
      // Its first answers come while the image is copied.
      finder = target.kind === 'streaming' ? undefined : finderOf(from, options)
      finder?.begin(image.root.descriptor)
      left = {
        referrers: await droppedReferrers(from, image, options),
        signatures: await droppedSignatures(from, to, image, options),
      }
    },
    beforeTag: async (planned: GraphPlan, publication?: Publication) => {
      referrersCopied = await carryReferrers(from, to, publication, planned, options, finder)
      if (!dryRun) await options.beforePublish?.(planned.root, to.reference)
    },
  }
  const transfer = dryRun
    ? await planTransfer(from, to, request)
    : await transferImage(from, to, request)
  const { plan, sourceRoot } = transfer
  const copied = { sourceRoot, root: plan.root }
  if (!dryRun && isSamePlace(from, to, copied)) await carrySignatures(from, to, options)
  return {
    digest: plan.root.descriptor.digest,
    bytes: contentSize(plan),
    blobs_copied: transfer.blobsCopied,
    blobs_skipped: transfer.blobsSkipped,
    bytes_copied: transfer.bytesCopied,
    ...(transfer.chunks
      ? { chunks: transfer.chunks, chunks_copied: transfer.chunksCopied ?? 0 }
      : {}),
    platforms: plan.platforms,
    attestations: plan.attestations,
    foreign_layers: plan.foreign.length,
    referrers_copied: referrersCopied,
    referrers_dropped: left.referrers,
    signatures_dropped: left.signatures,
    ...verifiedDigest(sourceRoot.descriptor, options),
    ...(dryRun ? { dry_run: true } : {}),
  }
}

/**
 * Copies what refers to an image that both ends have under the same digest, as {@link copy} would.
 * Its manifests are read from the target where that can be read: registries count their reading.
 */
export async function syncReferrers(
  from: SourceEnd,
  to: TargetEnd,
  root: Descriptor,
  options: CopyOptions = {},
): Promise<CopyResult> {
  const source = referrersOf(from, options)
  const reader = source && (asSource(to.target) ?? source)
  const read = reader && (await readManifest(reader, root, options))
  await verifyPresent(from, root, options)
  const plan = read && (await planGraph(reader, read, options))
  if (plan) reportPresent(plan.blobs, options)
  const referrersCopied = plan ? await publishReferrers(from, to, plan, options) : 0
  return {
    digest: root.digest,
    bytes: plan ? contentSize(plan) : 0,
    blobs_copied: 0,
    blobs_skipped: plan?.blobs.length ?? 0,
    bytes_copied: 0,
    platforms: plan?.platforms ?? 1,
    attestations: plan?.attestations ?? 0,
    foreign_layers: plan?.foreign.length ?? 0,
    referrers_copied: referrersCopied,
    referrers_dropped: [],
    signatures_dropped: 0,
    ...verifiedDigest(root, options),
  }
}

function toSelection(platforms: CopyOptions['platforms'] = []): Selection {
  return platforms.length > 0
    ? { kind: 'platforms', platforms: platforms.map(parsePlatform) }
    : { kind: 'all' }
}

/** {@link carryReferrers} for an image that is published already. */
async function publishReferrers(
  from: SourceEnd,
  to: TargetEnd,
  plan: GraphPlan,
  options: CopyOptions,
): Promise<number> {
  if (to.target.kind === 'streaming') return 0
  const { onProgress } = options
  const purpose = `copy of what refers to ${formatImageName(to.reference)}`
  return withPublication(to.target, { onProgress, purpose }, (publication) =>
    carryReferrers(from, to, publication, plan, options),
  )
}

/** Copies what refers to the image or to one of its manifests. Returns how many. */
async function carryReferrers(
  from: SourceEnd,
  { target, reference }: TargetEnd,
  publication: Publication | undefined,
  { root, documents }: Pick<GraphPlan, 'root' | 'documents'>,
  options: CopyOptions,
  finder = finderOf(from, options),
): Promise<number> {
  const source = referrersOf(from, options)
  if (!source || !finder || target.kind === 'streaming' || !publication?.attach) return 0
  return copyReferrers(
    { source, finder },
    { target, publication, repository: reference.name },
    [root, ...documents].map(({ descriptor }) => descriptor),
    options,
  )
}

/** The source when it can be asked for referrers, and shall be. */
function referrersOf({ source }: SourceEnd, { referrers }: CopyOptions): ImageSource | undefined {
  return referrers === 'none' || source.kind === 'streaming' ? undefined : source
}

function finderOf(from: SourceEnd, options: CopyOptions): ReferrerFinder | undefined {
  const source = referrersOf(from, options)
  const isStrict = options.referrers === 'all'
  return source && new ReferrerFinder(source, from.reference.name, { ...options, isStrict })
}

/** What refers to the whole image when not the whole of it was taken, with a notice. */
async function droppedReferrers(
  from: SourceEnd,
  image: SelectedImage,
  options: CopyOptions,
): Promise<readonly DroppedReferrer[]> {
  const finder = isWhole(image) ? undefined : finderOf(from, options)
  if (!finder) return []
  const dropped: DroppedReferrer[] = []
  for await (const { descriptor, manifest, tag } of finder.find(image.sourceRoot.descriptor)) {
    const config = manifest.kind === 'manifest' ? manifest.config.mediaType : undefined
    const type = manifest.artifactType ?? config
    dropped.push({
      digest: descriptor.digest,
      ...(type === undefined ? {} : { artifact_type: type }),
      ...(tag === undefined ? {} : { tag }),
    })
  }
  finder.close()
  if (dropped.length > 0) {
    const names = dropped.map(
      ({ digest, artifact_type: type = '', tag }) => tag ?? `${type} ${digest}`,
    )
    const message = `not verifiable beside the copy, because they hold for all platforms of the image together: ${names.join(', ')}`
    options.onProgress?.({ type: 'notice', code: 'referrers-dropped', message })
  }
  return dropped
}

function isWhole({ root, sourceRoot }: SelectedImage): boolean {
  return root.descriptor.digest === sourceRoot.descriptor.digest
}

/**
 * Signature records name bucket, image and tag, so they travel only where all three stay what they
 * were and the manifest did too.
 */
function isSamePlace(
  { source, reference }: SourceEnd,
  to: TargetEnd,
  image: SelectedImage,
): boolean {
  return (
    isStore(source) &&
    reference.digest === undefined &&
    isStore(to.target) &&
    to.target.backend.bucket === source.backend.bucket &&
    isSameTag(reference, to.reference) &&
    isWhole(image)
  )
}

/** How many signature records of the source's tag do not travel. */
async function droppedSignatures(
  from: SourceEnd,
  to: TargetEnd,
  image: SelectedImage,
  { signal }: CopyOptions,
): Promise<number> {
  const { source, reference } = from
  if (!isStore(source) || reference.digest !== undefined) return 0
  if (isSamePlace(from, to, image)) return 0
  let dropped = 0
  for await (const _ of signatureKeys(source.backend, reference, { signal })) dropped++
  return dropped
}

async function carrySignatures(
  { source, reference }: SourceEnd,
  { target }: TargetEnd,
  { signal }: CopyOptions,
): Promise<void> {
  if (!isStore(source) || !isStore(target)) return
  // Onto itself there is nothing to carry.
  if (target.backend.scheme === source.backend.scheme) return
  const keep = isImmutable(await target.config({ signal }), reference.name)
  await copySignatures(source.backend, target.backend, reference, { keep, signal })
}

function isSameTag(a: Reference, b: Reference): boolean {
  return a.name === b.name && a.tag === b.tag
}
