import { type CallOptions, type ImageSource, S3loError } from '@s3lo/core/plugin'
import {
  type Descriptor,
  formatPlatform,
  hostPlatform,
  type ImageIndex,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  type ManifestDocument,
  parseImageConfig,
  parseManifest,
  type Platform,
  readAll,
} from '@s3lo/core'
import { isSociIndexType } from './soci-index.ts'

/** Reads a manifest or index with its bytes. Throws `NOT_FOUND`, `INTEGRITY`. */
export async function readDocument(
  source: ImageSource,
  descriptor: Descriptor,
  options?: CallOptions,
): Promise<ManifestDocument> {
  const stream = await source.fetch(descriptor, options)
  const content = await readAll(stream, MAX_MANIFEST_BYTES, `manifest ${descriptor.digest}`)
  return { descriptor, content }
}

/** One spelling for each platform, as containerd normalises them. */
function normalizePlatform({ os, architecture, variant = '' }: Platform): Platform {
  const system = os.toLowerCase() || hostPlatform().os
  const [arch, kind] = normalizeArchitecture(architecture.toLowerCase(), variant.toLowerCase())
  const base = { os: system === 'macos' ? 'darwin' : system, architecture: arch }
  return kind === '' ? base : { ...base, variant: kind }
}

function normalizeArchitecture(architecture: string, variant: string): readonly [string, string] {
  switch (architecture) {
    case 'i386':
      return ['386', variant]
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return ['amd64', variant === 'v1' ? '' : variant]
    case 'aarch64':
    case 'arm64':
      if (['8', 'v8', 'v8.0'].includes(variant)) return ['arm64', '']
      return ['arm64', ['9', '9.0', 'v9.0'].includes(variant) ? 'v9' : variant]
    case 'armhf':
      return ['arm', 'v7']
    case 'armel':
      return ['arm', 'v6']
    case 'arm':
      if (variant === '' || variant === '7') return ['arm', 'v7']
      return ['arm', ['5', '6', '8'].includes(variant) ? `v${variant}` : variant]
    default:
      return [architecture, variant]
  }
}

/** True when both normalise to one platform. */
export function isSamePlatform(a: Platform, b: Platform): boolean {
  return formatPlatform(normalizePlatform(a)) === formatPlatform(normalizePlatform(b))
}

/** The first of each platform, by its normal form. */
export function uniquePlatforms(platforms: Iterable<Platform>): readonly Platform[] {
  const found: Platform[] = []
  for (const platform of platforms) {
    if (!found.some((other) => isSamePlatform(other, platform))) found.push(platform)
  }
  return found
}

/** The platforms of the images in an index: no attestations, no SOCI indexes. */
export function indexPlatforms({ manifests }: ImageIndex): readonly Platform[] {
  const platforms = manifests
    .filter(isImage)
    .flatMap(({ platform }) => (platform ? [platform] : []))
  return uniquePlatforms(platforms)
}

/** True for an entry that is an image someone could run. */
export function isImage({ platform, artifactType }: Descriptor): boolean {
  if (isSociIndexType(artifactType)) return false
  return platform?.os !== 'unknown' && platform?.architecture !== 'unknown'
}

/** The platform that an image's config names. */
export async function manifestPlatform(
  source: ImageSource,
  { content, descriptor }: ManifestDocument,
  options?: CallOptions,
): Promise<Platform> {
  const manifest = parseManifest(content, descriptor.digest)
  if (manifest.kind === 'index') {
    throw new S3loError('UNSUPPORTED', `${descriptor.digest} is an index, not an image`)
  }
  const { config } = manifest
  const stream = await source.fetch(config, options)
  const bytes = await readAll(stream, MAX_CONFIG_BYTES, `config ${config.digest}`)
  return normalizePlatform(parseImageConfig(bytes, config.digest).platform)
}

/**
 * The descriptor of the manifest that is an image's for a platform; the image itself when it is a
 * single manifest. Throws `NOT_FOUND` when there is none.
 */
export async function getImageManifestDescriptor(
  source: ImageSource,
  image: Descriptor,
  platform: Platform = hostPlatform(),
  options?: CallOptions,
): Promise<Descriptor> {
  const { content } = await readDocument(source, image, options)
  const manifest = parseManifest(content, image.digest)
  if (manifest.kind === 'manifest') {
    if (!image.platform || isSamePlatform(image.platform, platform)) return image
  } else {
    const found = findPlatform(manifest, image, platform)
    if (found) return found
  }
  throw new S3loError('NOT_FOUND', `${image.digest} has no image for ${formatPlatform(platform)}`)
}

function findPlatform(
  { manifests }: ImageIndex,
  { digest }: Descriptor,
  wanted: Platform,
): Descriptor | undefined {
  for (const entry of manifests.filter(isImage)) {
    if (!entry.platform) {
      throw new S3loError('INTEGRITY', `${digest} lists ${entry.digest} without a platform`)
    }
    if (isSamePlatform(entry.platform, wanted)) return entry
  }
  return undefined
}
