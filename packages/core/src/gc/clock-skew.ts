import type { ProgressOptions } from '../contract/progress.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'

/** Dates of some stores are whole seconds, and an answer takes its time. */
const WORTH_A_WORD_MS = 5000

/** Stores that were spoken of already: once is enough. */
const told = new WeakSet<StorageBackend>()

/** When a date of the store was asked for and when it came, by this machine's clock. */
export interface Asked {
  readonly from: number
  readonly to: number
}

/**
 * Tells, once for each open store, that the clock of this machine is off by that of the store.
 * Nothing in the store depends on it, but what this machine writes into documents does, and so do
 * signatures of requests.
 */
export function noteSkew(
  backend: StorageBackend,
  storeTime: number,
  { from, to }: Asked,
  { onProgress }: ProgressOptions,
): void {
  if (!onProgress || told.has(backend)) return
  const ahead = Math.max(from - storeTime, 0) || Math.min(to - storeTime, 0)
  if (Math.abs(ahead) <= WORTH_A_WORD_MS) return
  told.add(backend)
  const message =
    `the clock of this machine is ${inWords(Math.abs(ahead))} ${ahead > 0 ? 'ahead of' : 'behind'} ` +
    `that of ${backend.scheme}://${backend.bucket}, which is the one that counts`
  onProgress({ type: 'notice', code: 'clock-skew', message })
}

function inWords(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} seconds`
  const minutes = Math.round(seconds / 60)
  if (minutes < 120) return `${minutes} minutes`
  const hours = Math.round(minutes / 60)
  return hours < 72 ? `${hours} hours` : `${Math.round(hours / 24)} days`
}
