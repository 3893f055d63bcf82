import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import { ANNOTATION } from '../oci/annotations.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import {
  type ImageIndex,
  type ManifestDocument,
  parseManifest,
  toDocument,
} from '../oci/document.ts'
import { asArray, asObject, parseJson } from '../oci/json.ts'
import {
  choosePlatform,
  formatPlatform,
  hostPlatform,
  isAttestationPlatform,
  isCompatiblePlatform,
  matchesPlatform,
  type Platform,
} from '../oci/platform.ts'
import { type ContentReader, readManifest, readPlatform } from './read-manifest.ts'

/** Which of an image's platforms an operation takes. */
export type Selection =
  /** All there is, attestations included. */
  | { readonly kind: 'all' }
  /** Those, each of which must be there; one gives its manifest, several an index of them. */
  | { readonly kind: 'platforms'; readonly platforms: readonly Platform[] }
  /** The one named, else the only one, else the host's, with a notice naming the rest: push. */
  | { readonly kind: 'choose'; readonly platform?: Platform | undefined }
  /** The first that matches the one named, else the host's: pull. */
  | { readonly kind: 'run'; readonly platform?: Platform | undefined }

/** The manifest that stands for the selected part of an image. Throws `NOT_FOUND` naming what there is. */
export async function selectRoot(
  source: ContentReader,
  root: ManifestDocument,
  selection: Selection,
  options: CallOptions & ProgressOptions = {},
): Promise<ManifestDocument> {
  const manifest = parseManifest(root.content, root.descriptor.digest)
  if (manifest.kind === 'manifest') {
    await checkSingle(source, manifest.config, selection, options)
    return root
  }
  switch (selection.kind) {
    case 'all':
      return root
    case 'platforms':
      return selectPlatforms(source, root, manifest, selection.platforms, options)
    case 'choose': {
      const { chosen, dropped } = choosePlatform(platformsOf(manifest), selection.platform)
      if (dropped.length > 0 && chosen && !selection.platform) {
        const message = `taking ${formatPlatform(chosen)}; left behind: ${dropped.join(', ')}`
        options.onProgress?.({ type: 'notice', code: 'platforms-left', message })
      }
      return firstMatch(source, manifest, chosen ?? hostPlatform(), options)
    }
    case 'run':
      return firstMatch(source, manifest, selection.platform ?? hostPlatform(), options)
  }
}

/** The platforms that an index offers, attestations left out. */
function platformsOf(index: ImageIndex): readonly Platform[] {
  return index.manifests
    .map(({ platform }) => platform)
    .filter((platform) => platform !== undefined)
    .filter((platform) => !isAttestationPlatform(formatPlatform(platform)))
}

async function firstMatch(
  source: ContentReader,
  index: ImageIndex,
  wanted: Platform,
  options: CallOptions,
): Promise<ManifestDocument> {
  const entry =
    index.manifests.find(({ platform }) => matchesPlatform(platform, wanted)) ??
    index.manifests.find(({ platform }) => platform && isCompatiblePlatform(platform, wanted))
  if (!entry) throw noSuchPlatform(index, wanted)
  return (await readManifest(source, entry, options)).document
}

async function selectPlatforms(
  source: ContentReader,
  root: ManifestDocument,
  index: ImageIndex,
  wanted: readonly Platform[],
  options: CallOptions,
): Promise<ManifestDocument> {
  for (const platform of wanted) {
    if (!index.manifests.some((entry) => matchesPlatform(entry.platform, platform))) {
      throw noSuchPlatform(index, platform)
    }
  }
  const kept = index.manifests.filter((entry) =>
    wanted.some((platform) => matchesPlatform(entry.platform, platform)),
  )
  const [only] = kept
  if (only && kept.length === 1) return (await readManifest(source, only, options)).document
  return narrowIndex(root, index, new Set(kept.map(({ digest }) => digest)))
}

/** The index with only the kept children and the attestations about them; unknown members stay. */
function narrowIndex(
  root: ManifestDocument,
  index: ImageIndex,
  kept: ReadonlySet<string>,
): ManifestDocument {
  const raw = asObject(parseJson(root.content, 'index'), 'index')
  const entries = asArray(raw['manifests'], 'index.manifests')
  const manifests = entries.filter((_, i) => {
    const entry = index.manifests[i]
    const subject = entry && attestationSubject(entry)
    return entry && (kept.has(entry.digest) || (subject !== undefined && kept.has(subject)))
  })
  const content = new TextEncoder().encode(JSON.stringify({ ...raw, manifests }))
  return toDocument(content, root.descriptor.mediaType)
}

/** The digest of the manifest that an attestation entry is about (BuildKit's annotation). */
export function attestationSubject(entry: Descriptor): string | undefined {
  return isAttestationPlatform(formatPlatform(entry.platform))
    ? entry.annotations?.[ANNOTATION.attestationSubject]
    : undefined
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
    if (isCompatiblePlatform(actual, platform)) continue
    throw new S3loError('NOT_FOUND', `the image has no platform ${formatPlatform(platform)}`, {
      hint: `it is a single image for ${formatPlatform(actual)}`,
    })
  }
}

function noSuchPlatform(index: ImageIndex, wanted: Platform): S3loError {
  const names = [...new Set(platformsOf(index).map(formatPlatform))]
  return new S3loError('NOT_FOUND', `the image has no platform ${formatPlatform(wanted)}`, {
    hint: `it has ${names.join(', ') || 'none that runs'}; pass one with --platform`,
  })
}
