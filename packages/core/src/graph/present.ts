import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget, StreamingTarget } from '../contract/image-target.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Reference } from '../oci/reference.ts'
import { isUnreadable } from './refusal.ts'

/** The target as a source, when it is one as well: a store, a registry and a layout on disk are. */
export function asSource(target: ImageTarget | StreamingTarget): ImageSource | undefined {
  return 'resolve' in target && 'fetch' in target
    ? (target as ImageTarget & ImageSource)
    : undefined
}

/** As {@link asSource}. Throws `UNSUPPORTED` for a target that is none. */
export function assertSource(target: ImageTarget): ImageSource {
  const source = asSource(target)
  if (source) return source
  throw new S3loError('UNSUPPORTED', `${target.name} cannot be read back`, {
    hint: 'push to a store first, then copy from there',
  })
}

/** What the reference names in the target; `undefined` where it is not there or cannot be read. */
export async function resolveIn(
  target: ImageTarget | StreamingTarget,
  reference: Reference,
  options?: CallOptions,
): Promise<Descriptor | undefined> {
  return whereReadable(async () => asSource(target)?.resolve(reference, options))
}

/** What is read, or `undefined` where it is not there or cannot be read. */
export async function whereReadable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw error
  }
}
