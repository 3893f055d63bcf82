import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type ManifestDocument, toDocument } from '../oci/document.ts'
import { asObject, parseJson } from '../oci/json.ts'
import {
  bestFor,
  choosePlatform,
  isWantedPlatform,
  noSuchPlatform,
  runsOn,
} from '../oci/platform-choice.ts'
import {
  formatExactPlatform,
  formatPlatform,
  hostPlatform,
  type Platform,
} from '../oci/platform.ts'
import { type IndexContent, type IndexedImage, readIndexContent } from './index-entries.ts'
import { type ContentReader, readManifest, readPlatform } from './read-manifest.ts'

/** Which of an image's platforms an operation takes. */
export type Selection =
  /** All there is, attestations included. */
  | { readonly kind: 'all' }
  /** Those, each of which must be there; one gives its manifest, several an index of them. */
  | { readonly kind: 'platforms'; readonly platforms: readonly Platform[] }
  /** The one named, else the only one, else the host's, with a notice naming the rest: push. */
  | { readonly kind: 'choose'; readonly platform?: Platform | undefined }
  /** The best for the one named, else for the host: pull. */
  | { readonly kind: 'run'; readonly platform?: Platform | undefined }

/**
 * The manifest of the selected part of an image, wherever it is in the indexes. Throws
 * `NOT_FOUND` naming what there is, `USAGE` where there are several and one must be named.
 */
export async function selectRoot(
  source: ContentReader,
  root: ManifestDocument,
  selection: Selection,
  options: CallOptions & ProgressOptions = {},
): Promise<ManifestDocument> {
  const { manifest } = root
  if (manifest.kind === 'manifest') {
    await checkSingle(source, manifest.config, selection, options)
    return root
  }
  if (selection.kind === 'all') return root
  if (manifest.kind === 'artifact') return withoutPlatform(root, selection)
  const content = await readIndexContent(source, root, options)
  if (selection.kind === 'platforms') {
    return selectPlatforms(source, root, content, selection.platforms, options)
  }
  return readImage(source, chooseImage(content, selection, options), options)
}

/** What runs nowhere is taken as it is, unless it should run. */
function withoutPlatform(
  root: ManifestDocument,
  selection: Exclude<Selection, { kind: 'all' }>,
): ManifestDocument {
  const [wanted] = selection.kind === 'platforms' ? selection.platforms : [selection.platform]
  if (wanted) throw noSuchPlatform([], wanted)
  return root
}

/** The one image of an index that a selection means. Throws as {@link selectRoot} does. */
function chooseImage(
  content: IndexContent,
  { kind, platform }: Exclude<Selection, { kind: 'all' | 'platforms' }>,
  { onProgress }: ProgressOptions = {},
): IndexedImage {
  const images = runnable(content)
  if (kind === 'run') {
    const best = platform ? bestFor(images, platform) : bestFor(images, hostPlatform(), 'machine')
    if (best) return best
    throw noSuchPlatform(images, platform ?? hostPlatform())
  }
  const { chosen, dropped } = choosePlatform(images, platform)
  if (!chosen) throw noSuchPlatform(images, platform ?? hostPlatform())
  if (dropped.length > 0 && !platform) {
    const message = `taking ${formatPlatform(chosen.platform)}; left behind: ${dropped.join(', ')}`
    onProgress?.({ type: 'notice', code: 'platforms-left', message })
  }
  return chosen
}

/** What is listed for a platform beside its image is not run; it counts where there is nothing else. */
function runnable({ images }: IndexContent): readonly IndexedImage[] {
  const real = images.filter(({ isArtifact }) => !isArtifact)
  return real.length > 0 ? real : images
}

async function readImage(
  source: ContentReader,
  { descriptor }: IndexedImage,
  options: CallOptions,
): Promise<ManifestDocument> {
  const document = await readManifest(source, descriptor, options)
  const { manifest } = document
  if (manifest.kind === 'manifest') return document
  throw new S3loError(
    'INTEGRITY',
    `${descriptor.digest} is listed as an image and is an ${manifest.kind}`,
  )
}

async function selectPlatforms(
  source: ContentReader,
  root: ManifestDocument,
  content: IndexContent,
  wanted: readonly Platform[],
  options: CallOptions,
): Promise<ManifestDocument> {
  const { images, attestations } = content
  for (const platform of wanted) {
    if (images.some((image) => isWantedPlatform(image.platform, platform))) continue
    throw noSuchPlatform(runnable(content), platform)
  }
  const kept = images.filter((image) =>
    wanted.some((platform) => isWantedPlatform(image.platform, platform)),
  )
  const [only] = kept
  if (only && kept.length === 1) return readImage(source, only, options)
  const digests = new Set(kept.map(({ descriptor }) => descriptor.digest))
  const about = attestations.filter(({ subject }) => digests.has(subject))
  return narrowIndex(root, new Set([...kept, ...about].map(({ raw }) => raw)), content)
}

/** The index with only the kept entries, those of nested indexes as its own; unknown members stay. */
function narrowIndex(
  root: ManifestDocument,
  kept: ReadonlySet<unknown>,
  { entries }: IndexContent,
): ManifestDocument {
  const raw = asObject(parseJson(root.content, 'index'), 'index')
  const manifests = entries.filter((entry) => kept.has(entry))
  const content = new TextEncoder().encode(JSON.stringify({ ...raw, manifests }))
  return toDocument(content, root.descriptor.mediaType)
}

async function checkSingle(
  source: ContentReader,
  config: Descriptor,
  selection: Selection,
  options: CallOptions,
): Promise<void> {
  const wanted =
    selection.kind === 'platforms'
      ? selection.platforms
      : selection.kind === 'all' || !selection.platform
        ? []
        : [selection.platform]
  if (wanted.length === 0) return
  const actual = await readPlatform(source, config, options)
  for (const platform of wanted) {
    if (runsOn(actual, platform)) continue
    throw new S3loError('NOT_FOUND', `the image has no platform ${formatPlatform(platform)}`, {
      hint: `it is a single image for ${formatExactPlatform(actual)}`,
    })
  }
}
