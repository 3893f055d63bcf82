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
