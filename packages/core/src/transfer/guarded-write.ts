import type { Readable } from 'node:stream'
import type { ObjectInfo, WriteCondition } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'

/** A write of one object, as `put` gets it. */
export interface GuardedWrite {
  /** What messages call the object. */
  readonly what: string
  readonly body: Uint8Array | Readable
  readonly condition?: WriteCondition | undefined
  readonly signal?: AbortSignal | undefined
  /** Throws what the backend or the key do not allow. */
  readonly check: () => void
  readonly head: () => Promise<ObjectInfo | undefined>
}

/**
 * Runs a write whose body is destroyed in any case, also when the signal is aborted. A
 * condition that does not hold already throws `CONFLICT` before a stream is read for nothing; the
 * service judges again when it is written.
 */
export async function guardedWrite<T>(
  { what, body, condition, signal, check, head }: GuardedWrite,
  write: () => Promise<T>,
): Promise<T> {
  const stream = body instanceof Uint8Array ? undefined : body
  const stop = (): void => void stream?.destroy()
  // The body may emit an error before it is read: it is swallowed here, and its reader gets it later.
  stream?.on('error', () => {})
  try {
    signal?.throwIfAborted()
    check()
    signal?.addEventListener('abort', stop, { once: true })
    if (condition !== undefined && stream) assertHolds(what, condition, await head())
    return await write()
  } catch (error) {
    // The body only says that it closed early; the signal knows why.
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
    stop()
  }
}

function assertHolds(
  what: string,
  condition: WriteCondition,
  current: ObjectInfo | undefined,
): void {
  const holds =
    condition.kind === 'absent' ? current === undefined : current?.etag === condition.etag
  if (holds) return
  const reason = condition.kind === 'absent' ? 'exists already' : 'was changed by another client'
  throw new S3loError('CONFLICT', `${what} ${reason}`)
}
