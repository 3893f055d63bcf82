import type { Platform } from './platform.ts'

/** What content is, how to check it and how long it is (OCI image spec v1.1.1, "descriptor"). */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  /** Bytes. */
  readonly size: number
  readonly platform?: Platform
  readonly annotations?: Readonly<Record<string, string>>
  readonly artifactType?: string
  /** Where else the content can be had. */
  readonly urls?: readonly string[]
}

const NOT_DISTRIBUTED = /\.(?:foreign|nondistributable)\./

/**
 * True for a layer that only its maker distributes, from the URLs that it names (OCI image spec
 * v1.1.1, "non-distributable layers"). One without URLs can be had nowhere else: it is a layer like
 * any other.
 */
export function isForeignLayer({ mediaType, urls = [] }: Descriptor): boolean {
  return urls.length > 0 && NOT_DISTRIBUTED.test(mediaType)
}

/** The first of each digest, in order: an image may name one layer several times. */
export function uniqueByDigest<T extends { readonly digest: string }>(
  descriptors: Iterable<T>,
): readonly T[] {
  const first = new Map<string, T>()
  for (const descriptor of descriptors) {
    if (!first.has(descriptor.digest)) first.set(descriptor.digest, descriptor)
  }
  return [...first.values()]
}

export function totalSize(descriptors: Iterable<{ readonly size: number }>): number {
  let bytes = 0
  for (const { size } of descriptors) bytes += size
  return bytes
}
