import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { ImageSource, StreamingSource, TransferOptions } from '../contract/image-source.ts'
import type {
  ImageTarget,
  Publication,
  StreamingTarget,
  TagOptions,
} from '../contract/image-target.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { Platform } from '../oci/platform.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { uncompressedLayers } from '../oci/compressed-manifest.ts'
import { reportPlan, reportPresent } from '../progress/blob-report.ts'
import { LayerCompression } from './compress-layers.ts'
import { addCopied, addStats, copyGraph, type CopyGraphStats, digestsOf } from './copy-graph.ts'
import { firstMissing } from './missing.ts'
import { contentSize, type GraphPlan, planGraph } from './plan.ts'
import { asSource, assertSource, resolveIn, whereReadable } from './present.ts'
import { readManifest } from './read-manifest.ts'
import { giveImage } from './receive.ts'
import { restoreLost } from './restore-lost.ts'
import { type Selection, selectRoot } from './select.ts'
import { TargetSink } from './target-sink.ts'
import { tellLayers } from './tell-layers.ts'
import type { SourceEnd, TargetEnd, TransferRequest, TransferResult } from './transfer-request.ts'
import { withPublication } from './with-publication.ts'

/** An end of either kind, known to be of one. */
type From<S extends ImageSource | StreamingSource> = SourceEnd & { readonly source: S }

/** Where one image goes: written through the publication, read from the target. */
interface Into {
  readonly target: ImageTarget
  readonly publication: Publication
  readonly reference: Reference
}

/**
 * Moves one image from any source to any target and publishes it there as the last step. A
 * failure or abort before that leaves the target's tag as it was.
 */
export async function transferImage(
  { source, reference }: SourceEnd,
  to: TargetEnd,
  request: TransferRequest,
): Promise<TransferResult> {
  const { target } = to
  if (request.verify && source.kind === 'streaming') throw unsigned(source)
  if (target.kind === 'streaming') {
    if (source.kind === 'random-access') {
      return receive({ source, reference }, { ...to, target }, request)
    }
    throw new S3loError(
      'UNSUPPORTED',
      `${source.name} and ${target.name} can both be used in one direction only`,
      { hint: 'copy through a layout folder: first to oci:DIR, then from oci:DIR' },
    )
  }
  const { onProgress } = request
  const purpose = `push or copy of ${formatImageName(to.reference)}`
  return withPublication(target, { onProgress, purpose }, (publication) => {
    const into = { target, publication, reference: to.reference }
    return source.kind === 'streaming'
      ? stream({ source, reference }, into, request)
      : copyInto({ source, reference }, into, request)
  })
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
  const image = await readFrom(source, await source.resolve(reference, request), request)
  const { sourceRoot, root, plan } = image
  request.admit?.(root.descriptor)
  await request.selected?.({ sourceRoot, root })
  // One that writes nothing protects nothing, and needs no release.
  const publication = target.kind === 'random-access' ? target.begin() : undefined
  const stats = { blobsCopied: 0, blobsSkipped: 0, bytesCopied: 0, chunks: 0, chunksCopied: 0 }
  await forEachConcurrent(
    plan.blobs,
    LOOKUPS_AT_ONCE,
    async ({ descriptor }, signal) => {
      if (await publication?.has(descriptor, { signal })) stats.blobsSkipped++
      else {
        const planned = await publication?.planMount?.(descriptor, source, { signal })
        addCopied(stats, descriptor, planned)
      }
    },
    request.signal,
  )
  tellLayers(plan, request)
  await request.beforeTag?.(plan, publication)
  return { plan, sourceRoot, ...stats }
}

async function copyInto(
  from: From<ImageSource>,
  into: Into,
  request: TransferRequest,
): Promise<TransferResult> {
  const { publication, reference } = into
  const image = await readImage(from, into, request)
  const { sourceRoot, root, plan, displaced } = image
  // An image that is there with its layers as they are stays so.
  if (displaced !== root.descriptor.digest && uncompressedLayers(root).length > 0) {
    const compression = LayerCompression.of(publication, reference, request)
    const isCompressed = await compression?.begin()
    if (compression && isCompressed) return copyCompressed(from, into, image, compression, request)
  }
  request.admit?.(root.descriptor)
  await request.selected?.({ sourceRoot, root })
  tellLayers(plan, request)
  const digests = displaced === undefined ? digestsOf(plan) : [...digestsOf(plan), displaced]
  const isThere = root === sourceRoot && (await publication.adopt?.(root, from, digests, request))
  if (!isThere) await publication.protect?.(digests, request)
  if (isThere) reportPresent(plan.blobs, request)
  const stats = isThere ? adopted(plan) : await copyGraph(from.source, publication, plan, request)
  await publish(plan, into, request)
  await restoreLost(publication, from.source, request)
  return { plan, sourceRoot, ...stats }
}

/** As {@link copyInto}, with the layers that the target makes of the image's uncompressed ones. */
async function copyCompressed(
  { source }: From<ImageSource>,
  into: Into,
  { sourceRoot, root, plan, displaced }: ReadImage,
  compression: LayerCompression,
  request: TransferRequest,
): Promise<TransferResult> {
  const { publication } = into
  const { onProgress } = request
  request.admit?.((await compression.find(root))?.descriptor)
  await request.selected?.({ sourceRoot, root })
  tellLayers(plan, request)
  reportPlan(plan.blobs, request)
  await compression.store(source, plan)
  const stored = await planGraph(source, compression.compressed(root), request)
  await publication.protect?.([...digestsOf(stored), ...(displaced ? [displaced] : [])], request)
  const others = new Set(plan.blobs.map(({ descriptor }) => descriptor.digest))
  const rest = {
    ...stored,
    blobs: stored.blobs.filter(({ descriptor }) => others.has(descriptor.digest)),
  }
  const copied = await copyGraph(source, publication, rest, {
    ...request,
    onProgress: onProgress && ((event) => event.type !== 'plan' && onProgress(event)),
  })
  await publish(stored, into, request)
  await restoreLost(publication, undefined, request)
  return { plan: stored, sourceRoot, ...addStats(copied, compression.stats) }
}

function adopted({ blobs }: GraphPlan): CopyGraphStats {
  return { blobsCopied: 0, blobsSkipped: blobs.length, bytesCopied: 0 }
}

async function publish(
  plan: GraphPlan,
  { publication, reference }: Into,
  request: TransferRequest,
): Promise<void> {
  const { tagOptions, signal, onProgress } = request
  await request.beforeTag?.(plan, publication)
  const options: TagOptions = {
    imageSize: contentSize(plan),
    children: plan.documents,
    ...tagOptions?.(plan),
  }
  await publication.tag(plan.root, reference, { ...options, signal, onProgress })
}

/** What is to be copied: the manifest that the reference means, the part that was selected, its graph. */
type ReadImage = Pick<TransferResult, 'plan' | 'sourceRoot'> & {
  readonly root: ManifestDocument
  /** The digest that the target's tag names before: a store protects it with the rest. */
  readonly displaced?: string | undefined
}

/**
 * An image that the target has already is read there: asking a registry which manifest a tag names is
 * free, and reading its manifests counts against the limits of Docker Hub.
 */
async function readImage(
  { source, reference }: From<ImageSource>,
  into: Into,
  request: TransferRequest,
): Promise<ReadImage> {
  const descriptor = await source.resolve(reference, request)
  const reader = asSource(into.target)
  const present = await resolveIn(into.target, into.reference, request)
  const isThere = reader && present?.digest === descriptor.digest
  const read = isThere && (await whereReadable(() => readFrom(reader, descriptor, request)))
  return { ...(read || (await readFrom(source, descriptor, request))), displaced: present?.digest }
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
  { source, reference }: From<StreamingSource>,
  into: Into,
  request: TransferRequest,
): Promise<TransferResult> {
  const { selection, signal, onProgress } = request
  const options = {
    signal,
    onProgress,
    platform: singlePlatform(selection),
    allPlatforms: selection.kind === 'all',
  }
  const compression = LayerCompression.of(into.publication, into.reference, request)
  const matching = await matchingImage({ source, reference }, into, { ...options, compression })
  request.admit?.(matching?.descriptor)
  const present = matching && (await planWhole(into, matching, options))
  if (present) reportPresent(present.blobs, request)
  const sink = new TargetSink(into, { signal, onProgress }, compression)
  const sourceRoot = present?.root ?? (await source.transfer(reference, sink, options))
  const root = compression && !present ? compression.compressed(sourceRoot) : sourceRoot
  const plan = present ?? (await arrivedWhole(into, root, { signal }))
  await publish(plan, into, request)
  await restoreLost(into.publication, undefined, request)
  const stats = present ? { ...sink.stats, blobsSkipped: plan.blobs.length } : sink.stats
  return { plan, sourceRoot, ...stats }
}

async function receive(
  { source, reference }: From<ImageSource>,
  to: TargetEnd & { readonly target: StreamingTarget },
  request: TransferRequest,
): Promise<TransferResult> {
  const { target } = to
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
  into: Into,
  root: ManifestDocument,
  options: TransferOptions,
): Promise<GraphPlan> {
  const { plan, missing } = await planPresent(into, root, options)
  if (!missing) return plan
  throw new S3loError(
    'INTEGRITY',
    `the image names ${missing.digest}, which its source did not give`,
  )
}

/** The plan of an image of the target, or `undefined` where it is not whole. */
function planWhole(
  into: Into,
  document: ManifestDocument,
  options: TransferOptions,
): Promise<GraphPlan | undefined> {
  return whereReadable(async () => {
    const { plan, missing } = await planPresent(into, document, options)
    return missing ? undefined : plan
  })
}

/** The plan of what the target has, protected, and a part of it that is not there. */
async function planPresent(
  { target, publication }: Into,
  root: ManifestDocument,
  { signal }: TransferOptions,
): Promise<{ readonly plan: GraphPlan; readonly missing: Descriptor | undefined }> {
  const plan = await planGraph(assertSource(target), root, { signal })
  await publication.protect?.(digestsOf(plan), { signal })
  return { plan, missing: await firstMissing(publication, plan, { signal }) }
}

const LOOKUPS_AT_ONCE = 16

/** The target's present image under that tag, when it is what the source has. */
async function matchingImage(
  { source, reference }: From<StreamingSource>,
  into: Into,
  {
    compression,
    ...options
  }: TransferOptions & { readonly compression?: LayerCompression | undefined },
): Promise<ManifestDocument | undefined> {
  const reader = asSource(into.target)
  const document = reader && (await whereReadable(() => readRoot(reader, into.reference, options)))
  if (!document) return undefined
  const given = (await compression?.uncompressed(document)) ?? document
  return (await source.matches(reference, given, options)) ? document : undefined
}

async function readRoot(
  source: ImageSource,
  reference: Reference,
  options?: TransferOptions,
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
