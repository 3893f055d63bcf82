import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget, StreamingTarget } from '../contract/image-target.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Reference } from '../oci/reference.ts'
import { isUnreadable } from './refusal.ts'

/** The target as a source, when it is one as well: a store, a registry and a layout on disk are. */
export function readable(target: ImageTarget | StreamingTarget): ImageSource | undefined {
  return 'resolve' in target && 'fetch' in target
    ? (target as ImageTarget & ImageSource)
    : undefined
}

/** What the reference names in the target; `undefined` where it is not there or cannot be read. */
export async function presentRoot(
  target: ImageTarget | StreamingTarget,
  reference: Reference,
  options?: CallOptions,
): Promise<Descriptor | undefined> {
  try {
    return await readable(target)?.resolve(reference, options)
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw error
  }
}
