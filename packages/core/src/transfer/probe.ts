import { randomUUID } from 'node:crypto'
import type { BackendGuarantees, BackendOptions } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { PROBE_PREFIX } from '../layout/keys.ts'
import type { UnguardedPutOptions, UnguardedStore } from './network-service.ts'

const RACERS = 20
const MINUTE_MS = 60_000
/** A service that takes one request at a time must not wait for ever for the end of a body. */
const LONGEST_HOLD_MS = 2000
/** What a probe wrote is removed in this time, or left to the next collection. */
const CLEANUP_MS = 5000

/** The conditional write of one racer; whether it was let through. */
type Write = (racer: number, hold?: UnguardedPutOptions['hold']) => Promise<boolean>

/** Lets 20 racers write one object, and counts those that win. */
type Race = (write: Write) => Promise<number>

/** One race for each way in which a store can be wrong about conditions. */
const RACES: readonly Race[] = [sprint, overtake]

/**
 * Finds out what a store does about conditions and deadlines by trying them: creates at the same
 * moment of which exactly one may win, creates that another one overtakes, a stale etag, a completion
 * of a large upload over an object that is there, requests that come too late. Removes what it wrote.
 */
export async function probe(
  backend: UnguardedStore,
  signal: AbortSignal | undefined,
): Promise<BackendGuarantees> {
  const prefix = `${PROBE_PREFIX}${randomUUID()}/`
  const written = new Set<string>()
  const put: UnguardedStore['put'] = async (name, body, options) => {
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
    // Not bound to the caller's signal: an abort must not leave anything behind.
    const cleanup = { signal: AbortSignal.timeout(CLEANUP_MS) }
    await backend.delete([...written], cleanup).catch(() => {})
  }
}

async function createsOnce(put: UnguardedStore['put']): Promise<boolean> {
  for (const [round, race] of RACES.entries()) {
    const create: Write = (racer, hold) =>
      succeeds(
        put(`create-${round}`, bytes(`new ${racer}`), { condition: { kind: 'absent' }, hold }),
      )
    if ((await race(create)) !== 1) return false
  }
  return true
}

/** A large upload shows only at its end, so its end has to be guarded too. */
async function completesOnce(put: UnguardedStore['put']): Promise<boolean> {
  const condition = { kind: 'absent' } as const
  const first = await succeeds(put('parts', bytes('1'), { condition, inParts: true }))
  return first && !(await succeeds(put('parts', bytes('2'), { condition, inParts: true })))
}

async function swapsOnce(put: UnguardedStore['put']): Promise<boolean> {
  for (const [round, race] of RACES.entries()) {
    const name = `swap-${round}`
    const { etag } = await put(name, bytes('old'))
    const swap: Write = (racer, hold) =>
      succeeds(put(name, bytes(`new ${racer}`), { condition: { kind: 'unchanged', etag }, hold }))
    if ((await race(swap)) !== 1) return false
    if (await swap(RACERS)) return false
  }
  return true
}

async function refusesLate(
  put: UnguardedStore['put'],
  backend: UnguardedStore,
  prefix: string,
  { late, soon, signal }: { late: Date; soon: Date; signal: AbortSignal | undefined },
): Promise<boolean> {
  if (!(await succeeds(put('deadline', bytes('1'), { notAfter: soon })))) return false
  if (await succeeds(put('deadline', bytes('2'), { notAfter: late }))) return false
  const keys = [`${prefix}deadline`]
  if ((await backend.delete(keys, { notAfter: late, signal })).length === 0) return false
  return (await backend.delete(keys, { notAfter: soon, signal })).length === 0
}

/** All at the same moment. */
async function sprint(write: Write): Promise<number> {
  return winnersOf(Array.from({ length: RACERS }, (_, racer) => write(racer)))
}

/**
 * One begins and ends while all others have begun and not ended. A store that looks at the condition
 * only as a write begins lets through more than that one; a mere sprint may miss it.
 */
async function overtake(write: Write): Promise<number> {
  const overtaken = Promise.withResolvers<void>()
  const slow = Array.from({ length: RACERS - 1 }, (_, i) => {
    const begun = Promise.withResolvers<void>()
    const end = write(i + 1, () => {
      begun.resolve()
      return overtaken.promise
    })
    return { begun: Promise.race([begun.promise, end.catch(() => {})]), end }
  })
  const timer = setTimeout(overtaken.resolve, LONGEST_HOLD_MS)
  try {
    await Promise.all(slow.map(({ begun }) => begun))
    const fast = write(0).finally(overtaken.resolve)
    return await winnersOf([fast, ...slow.map(({ end }) => end)])
  } finally {
    clearTimeout(timer)
    overtaken.resolve()
  }
}

/** Waits for all of them, so that none writes after the others were removed. */
async function winnersOf(writes: readonly Promise<boolean>[]): Promise<number> {
  const outcomes = await Promise.allSettled(writes)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) throw failed.reason
  return outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value).length
}

/** True for a write that the service does not let through; a failure to find out is thrown. */
export async function isRefused(write: Promise<unknown>): Promise<boolean> {
  return !(await succeeds(write))
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

/** Whether the user vouches for the service, by an option or in the environment. */
export function isTrusted({
  trustEndpoint,
  env = {},
}: Partial<Pick<BackendOptions, 'env' | 'trustEndpoint'>>): boolean {
  return trustEndpoint ?? /^(1|true|yes)$/i.test(env['S3LO_TRUST_ENDPOINT'] ?? '')
}
