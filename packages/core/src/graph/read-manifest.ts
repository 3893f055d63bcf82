import type { CallOptions } from '../contract/call-options.ts'
import type { FetchOptions, ImageSource } from '../contract/image-source.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { MAX_CONFIG_BYTES, parseImageConfig } from '../oci/config.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type ManifestDocument, MAX_MANIFEST_BYTES, parseDocument } from '../oci/document.ts'
import { formatPlatform, type Platform } from '../oci/platform.ts'
import { readAll } from '../stream/read-all.ts'

/** Anything whose content can be fetched by descriptor. */
export type ContentReader = Pick<ImageSource, 'name' | 'fetch'>

/**
 * Fetches, verifies and parses a manifest or index. Throws `INTEGRITY` for one over 4 MiB, before
 * fetching it, and for one that is larger than its descriptor says.
 */
export async function readManifest(
  source: ContentReader,
  descriptor: Descriptor,
  options?: Omit<FetchOptions, 'range'>,
): Promise<ManifestDocument> {
  const { digest, size } = descriptor
  if (size > MAX_MANIFEST_BYTES) {
    throw new S3loError(
      'INTEGRITY',
      `manifest ${digest} has ${size} bytes, more than ${MAX_MANIFEST_BYTES}`,
    )
  }
  const body = await source.fetch(descriptor, options).catch((error: unknown) => {
    throw missing(error, descriptor)
  })
  const content = await readAll(body, size, `manifest ${digest}`)
  return parseDocument(content, digest, descriptor)
}

/** The platform an image's config names. Throws `INTEGRITY`. */
export async function readPlatform(
  source: ContentReader,
  config: Descriptor,
  options?: CallOptions,
): Promise<Platform> {
  const body = await source.fetch(config, options)
  const content = await readAll(body, MAX_CONFIG_BYTES, `image config ${config.digest}`)
  return parseImageConfig(content, config.digest).platform
}

function missing(error: unknown, { digest, platform }: Descriptor): unknown {
  if (!isS3loError(error, 'NOT_FOUND') || !platform) return error
  return new S3loError(
    'NOT_FOUND',
    `manifest ${digest} of ${formatPlatform(platform)} is missing: ${error.message}`,
    { hint: error.hint, cause: error },
  )
}
