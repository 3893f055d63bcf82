import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource, StreamingSource, TransferOptions } from '../contract/image-source.ts'
import type { ImageTarget, StreamingTarget, TagOptions } from '../contract/image-target.ts'
import { S3loError } from '../errors.ts'
import { type Descriptor, totalSize } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { Platform } from '../oci/platform.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { reportPresent } from '../progress/blob-report.ts'
import { copyGraph, type CopyGraphStats, digestsOf } from './copy-graph.ts'
import { firstMissing } from './missing.ts'
import { contentSize, type GraphPlan, planGraph } from './plan.ts'
import { presentRoot, readable } from './present.ts'
import { readManifest } from './read-manifest.ts'
import { isUnreadable } from './refusal.ts'
import { giveImage } from './receive.ts'
import { restoreLost } from './restore-lost.ts'
import { type Selection, selectRoot } from './select.ts'
import { TargetSink } from './target-sink.ts'
import { tellLayers } from './tell-layers.ts'
import type { SourceEnd, TargetEnd, TransferRequest, TransferResult } from './transfer-request.ts'

/**
 * Moves one image from any source to any target and publishes it there as the last step. A
 * failure or abort before that leaves the target's tag as it was.
 */
export async function transferImage(
  from: SourceEnd,
  to: TargetEnd,
  request: TransferRequest,
): Promise<TransferResult> {
  const { source } = from
  const { target } = to
  if (request.verify && source.kind === 'streaming') throw unsigned(source)
  if (target.kind === 'streaming') {
    if (source.kind === 'random-access') {
      return receive(source, from.reference, target, to, request)
    }
    throw new S3loError(
      'UNSUPPORTED',
      `${source.name} and ${target.name} can both be used in one direction only`,
      { hint: 'copy through a layout folder: first to oci:DIR, then from oci:DIR' },
    )
  }
  const begun = target.begin?.({
    onProgress: request.onProgress,
    purpose: `push or copy of ${formatImageName(to.reference)}`,
  })
  try {
    return await transferInto(from, begun ?? target, to, request)
  } finally {
    await begun?.close?.()
  }
}

function transferInto(
  { source, reference }: SourceEnd,
  target: ImageTarget,
  to: TargetEnd,
  request: TransferRequest,
): Promise<TransferResult> {
  return source.kind === 'streaming'
    ? stream(source, reference, target, to, request)
    : copyInto(source, reference, target, to, request)
}

/**
 * What {@link transferImage} would do, without writing anything: what is there already, and
 * `beforeTag`. Throws `UNSUPPORTED` for a source that tells nothing without being read.
 */
export async function planTransfer(
  { source, reference }: SourceEnd,
  { target }: TargetEnd,
  request: TransferRequest,
): Promise<TransferResult> {
  if (source.kind === 'streaming') {
    throw new S3loError('UNSUPPORTED', `${source.name} does not tell what a copy would move`, {
      hint: 'leave out --dry-run',
    })
  }
  const sourceRoot = await readRoot(source, reference, request)
  await request.verify?.(sourceRoot)
  const root = await selectRoot(source, sourceRoot, request.selection, request)
  request.admit?.(root.descriptor)
  await request.selected?.({ sourceRoot, root })
  const plan = await planGraph(source, root, request)
  const missing: Descriptor[] = []
  await forEachConcurrent(
    plan.blobs,
    LOOKUPS_AT_ONCE,
    async ({ descriptor }, signal) => {
      const isThere =
        target.kind === 'random-access' && (await target.exists(descriptor, { signal }))
      if (!isThere) missing.push(descriptor)
    },
    request.signal,
  )
  tellLayers(plan, request)
  await request.beforeTag?.(plan, target)
  return {
    plan,
    sourceRoot,
    blobsCopied: missing.length,
    blobsSkipped: plan.blobs.length - missing.length,
    bytesCopied: totalSize(missing),
  }
}

async function copyInto(
  source: ImageSource,
  reference: Reference,
  target: ImageTarget,
  to: TargetEnd,
  request: TransferRequest,
): Promise<TransferResult> {
  const { sourceRoot, root, plan } = await readImage(source, reference, target, to, request)
  request.admit?.(root.descriptor)
  await request.selected?.({ sourceRoot, root })
  tellLayers(plan, request)
  const isThere =
    root === sourceRoot &&
    (await target.adopt?.(root, { source, reference }, digestsOf(plan), request))
  if (isThere) reportPresent(plan.blobs, request)
  const stats = isThere ? adopted(plan) : await copyGraph(source, target, plan, request)
  await request.beforeTag?.(plan, target)
  await target.tag(root, to.reference, tagging(plan, request))
  await restoreLost(target, source, request)
  return { plan, sourceRoot, ...stats }
}

function adopted({ blobs }: GraphPlan): CopyGraphStats {
  return { blobsCopied: 0, blobsSkipped: blobs.length, bytesCopied: 0 }
}

/** What is to be copied: the manifest that the reference means, the part that was selected, its graph. */
type ReadImage = Pick<TransferResult, 'plan' | 'sourceRoot'> & { readonly root: ManifestDocument }

/**
 * An image that the target has already is read there: asking a registry which manifest a tag names is
 * free, and reading its manifests counts against the limits of Docker Hub.
 */
async function readImage(
  source: ImageSource,
  reference: Reference,
  target: ImageTarget,
  to: TargetEnd,
  request: TransferRequest,
): Promise<ReadImage> {
  const descriptor = await source.resolve(reference, request)
  const reader = readable(target)
  const present = reader && (await presentRoot(target, to.reference, request))
  if (reader && present?.digest === descriptor.digest) {
    try {
      return await readFrom(reader, descriptor, request)
    } catch (error) {
      if (!isUnreadable(error)) throw error
    }
  }
  return readFrom(source, descriptor, request)
}

async function readFrom(
  reader: ImageSource,
  descriptor: Descriptor,
  request: TransferRequest,
): Promise<ReadImage> {
  const sourceRoot = await readManifest(reader, descriptor, request)
  await request.verify?.(sourceRoot)
  const root = await selectRoot(reader, sourceRoot, request.selection, request)
  return { sourceRoot, root, plan: await planGraph(reader, root, request) }
}

async function stream(
  source: StreamingSource,
  reference: Reference,
  target: ImageTarget,
  to: TargetEnd,
  request: TransferRequest,
): Promise<TransferResult> {
  const { selection, signal, onProgress } = request
  const options = {
    signal,
    onProgress,
    platform: singlePlatform(selection),
    allPlatforms: selection.kind === 'all',
  }
  const matching = await matchingImage(source, reference, target, to.reference, options)
  request.admit?.(matching?.descriptor)
  const present = matching && (await planWhole(target, matching, options))
  if (present) reportPresent(present.blobs, request)
  const sink = new TargetSink(target, { signal, onProgress })
  const root = present?.root ?? (await source.transfer(reference, sink, options))
  const plan = present ?? (await arrivedWhole(target, root, { signal }))
  await request.beforeTag?.(plan, target)
  await target.tag(root, to.reference, tagging(plan, request))
  await restoreLost(target, undefined, request)
  const stats = present ? { ...sink.stats, blobsSkipped: plan.blobs.length } : sink.stats
  return { plan, sourceRoot: root, ...stats }
}

async function receive(
  source: ImageSource,
  reference: Reference,
  target: StreamingTarget,
  to: TargetEnd,
  request: TransferRequest,
): Promise<TransferResult> {
  const { selection, signal } = request
  const sourceRoot = await readRoot(source, reference, request)
  await request.verify?.(sourceRoot)
  const whole = selection.kind === 'all' && !(await target.acceptsIndex({ signal }))
  const effective: Selection = whole ? { kind: 'choose' } : selection
  const root = await selectRoot(source, sourceRoot, effective, request)
  await request.selected?.({ sourceRoot, root })
  const plan = await planGraph(source, root, request)
  tellLayers(plan, request)
  const stats = await giveImage(source, target, root, plan, to.reference, request)
  return { plan, sourceRoot, ...stats }
}

/** The plan of what a stream has brought. Throws `INTEGRITY` when a part of it did not arrive. */
async function arrivedWhole(
  target: ImageTarget,
  root: ManifestDocument,
  options: CallOptions,
): Promise<GraphPlan> {
  const plan = await planGraph(readerOf(target), root, options)
  await target.protect?.(digestsOf(plan), options)
  const missing = await firstMissing(target, plan, options)
  if (!missing) return plan
  throw new S3loError(
    'INTEGRITY',
    `the image names ${missing.digest}, which its source did not give`,
  )
}

const LOOKUPS_AT_ONCE = 16

/** The target's present image under that tag, when it is what the source has. */
async function matchingImage(
  source: StreamingSource,
  reference: Reference,
  target: ImageTarget,
  to: Reference,
  options: TransferOptions,
): Promise<ManifestDocument | undefined> {
  const reader = readable(target)
  const document = reader && (await readPresent(reader, to, options))
  return document && (await source.matches(reference, document, options)) ? document : undefined
}

/** The plan of an image of the target, or `undefined` where it is not whole. */
async function planWhole(
  target: ImageTarget,
  document: ManifestDocument,
  options: CallOptions,
): Promise<GraphPlan | undefined> {
  try {
    const plan = await planGraph(readerOf(target), document, options)
    await target.protect?.(digestsOf(plan), options)
    return (await firstMissing(target, plan, options)) ? undefined : plan
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw error
  }
}

async function readPresent(
  reader: ImageSource,
  reference: Reference,
  options?: CallOptions,
): Promise<ManifestDocument | undefined> {
  try {
    return await readRoot(reader, reference, options)
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw error
  }
}

async function readRoot(
  source: ImageSource,
  reference: Reference,
  options?: CallOptions,
): Promise<ManifestDocument> {
  const descriptor = await source.resolve(reference, options)
  return readManifest(source, descriptor, options)
}

function unsigned({ name }: StreamingSource): S3loError {
  return new S3loError(
    'UNSUPPORTED',
    `${name} keeps no signatures, so nothing in it can be verified`,
    {
      hint: 'verify where the image came from',
    },
  )
}

function readerOf(target: ImageTarget): ImageSource {
  const reader = readable(target)
  if (reader) return reader
  throw new S3loError('UNSUPPORTED', `${target.name} cannot be read back`, {
    hint: 'push to a store first, then copy from there',
  })
}

function tagging(plan: GraphPlan, { tagOptions, signal, onProgress }: TransferRequest): TagOptions {
  return { imageSize: contentSize(plan), ...tagOptions?.(plan), signal, onProgress }
}

function singlePlatform(selection: Selection): Platform | undefined {
  switch (selection.kind) {
    case 'all':
      return undefined
    case 'choose':
    case 'run':
      return selection.platform
    case 'platforms': {
      if (selection.platforms.length <= 1) return selection.platforms[0]
      throw new S3loError('UNSUPPORTED', 'an engine gives one platform or all of them', {
        hint: 'pass --platform once, or none',
      })
    }
  }
}
