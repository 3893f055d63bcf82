import { randomUUID } from 'node:crypto'
import {
  type BackendGuarantees,
  isS3loError,
  type PutOptions,
  type StorageBackend,
} from '@s3lo/core/plugin'

/** Where a probe writes; nothing else is there. */
const PROBE_PREFIX = '.s3lo/probe/'
const RACERS = 20
const ROUNDS = 2
const MINUTE_MS = 60_000

/** Writes without looking at what the backend promises yet. */
export interface UnguardedWriter extends Pick<StorageBackend, 'delete'> {
  put(key: string, body: Uint8Array, options?: ProbeOptions): ReturnType<StorageBackend['put']>
}

/** As for a put of the backend. */
export interface ProbeOptions extends PutOptions {
  /** Sends even the smallest body as a multipart upload. */
  readonly inParts?: boolean
}

/**
 * Finds out what a store does about conditions and deadlines by trying them: creates at the same
 * moment of which exactly one may win, a stale etag, a completion of a large upload over an object
 * that is there, requests that come too late. Removes what it wrote.
 */
export async function probe(
  backend: UnguardedWriter,
  signal: AbortSignal | undefined,
): Promise<BackendGuarantees> {
  const prefix = `${PROBE_PREFIX}${randomUUID()}/`
  const written = new Set<string>()
  const put: UnguardedWriter['put'] = async (name, body, options) => {
    written.add(prefix + name)
    return backend.put(prefix + name, body, { ...options, signal })
  }
  try {
    const clock = await put('clock', bytes('clock'))
    const late = new Date(clock.lastModified.getTime() - MINUTE_MS)
    const soon = new Date(clock.lastModified.getTime() + 5 * MINUTE_MS)
    return {
      createOnly: (await createsOnce(put)) && (await completesOnce(put)),
      compareAndSwap: await swapsOnce(put),
      deadlines: await refusesLate(put, backend, prefix, { late, soon, signal }),
    }
  } finally {
    // Not bound to the signal: an abort must not leave anything behind.
    await backend.delete([...written])
  }
}

async function createsOnce(put: UnguardedWriter['put']): Promise<boolean> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const create = (racer: number): Promise<boolean> =>
      succeeds(put(`create-${round}`, bytes(`${racer}`), { condition: { kind: 'absent' } }))
    if ((await winnersOf(create)) !== 1) return false
  }
  return true
}

/** A large upload shows only at its end, so its end has to be guarded too. */
async function completesOnce(put: UnguardedWriter['put']): Promise<boolean> {
  const condition = { kind: 'absent' } as const
  const first = await succeeds(put('parts', bytes('1'), { condition, inParts: true }))
  return first && !(await succeeds(put('parts', bytes('2'), { condition, inParts: true })))
}

async function swapsOnce(put: UnguardedWriter['put']): Promise<boolean> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const name = `swap-${round}`
    const { etag } = await put(name, bytes('old'))
    const swap = (racer: number): Promise<boolean> =>
      succeeds(put(name, bytes(`new ${racer}`), { condition: { kind: 'unchanged', etag } }))
    if ((await winnersOf(swap)) !== 1) return false
    if (await swap(RACERS)) return false
  }
  return true
}

async function refusesLate(
  put: UnguardedWriter['put'],
  backend: UnguardedWriter,
  prefix: string,
  { late, soon, signal }: { late: Date; soon: Date; signal: AbortSignal | undefined },
): Promise<boolean> {
  if (!(await succeeds(put('deadline', bytes('1'), { notAfter: soon })))) return false
  if (await succeeds(put('deadline', bytes('2'), { notAfter: late }))) return false
  const keys = [`${prefix}deadline`]
  if ((await backend.delete(keys, { notAfter: late, signal })).length === 0) return false
  return (await backend.delete(keys, { notAfter: soon, signal })).length === 0
}

async function winnersOf(race: (racer: number) => Promise<boolean>): Promise<number> {
  const results = await Promise.all(Array.from({ length: RACERS }, (_, racer) => race(racer)))
  return results.filter(Boolean).length
}

/** False for a write that was refused; a failure to find out is thrown. */
async function succeeds(write: Promise<unknown>): Promise<boolean> {
  try {
    await write
    return true
  } catch (error) {
    const refusals = ['CONFLICT', 'FORBIDDEN', 'UNSUPPORTED', 'UNAUTHORIZED'] as const
    if (refusals.some((code) => isS3loError(error, code))) return false
    throw error
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
