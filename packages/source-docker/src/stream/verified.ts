import type { Readable } from 'node:stream'
import { type Descriptor, verifyDigest } from '@s3lo/core'
import { abortable } from './abortable.ts'
import { pipelined } from './pipelined.ts'

/** The content, failing with `INTEGRITY` unless it is the descriptor's. Destroying it frees the content. */
export function verified(
  content: Readable,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Readable {
  return abortable(pipelined(content, verifyDigest(descriptor)), signal)
}
