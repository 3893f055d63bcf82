import type { Readable } from 'node:stream'
import { type Descriptor, verified as verifiedOnce } from '@s3lo/core'
import { abortable } from './abortable.ts'

/**
 * The content, failing with `INTEGRITY` unless it is the descriptor's; hashed once, however often
 * it is asked for. Destroying it frees the content.
 */
export function verified(
  content: Readable,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Readable {
  return abortable(verifiedOnce(content, descriptor), signal)
}
