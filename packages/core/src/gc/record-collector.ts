import type { DeleteFailure } from '../contract/storage-backend.ts'
import type { RecordEntry } from '../store/records.ts'
import type { ExpiredRecord } from './live-records.ts'
import type { RecordExpiry } from './record-expiry.ts'
import { expireRecords } from './record-round.ts'
import type { RoundContext } from './round.ts'

/** Records of one round: each is named under two algorithms. */
const RECORDS_OF_A_ROUND = 2000

/** A manifest that is pullable by its digest alone, or was, and what was done about its record. */
export interface UntaggedImage extends RecordEntry {
  readonly outcome: 'kept' | 'deleted' | 'would-delete'
  /** When it expires (milliseconds since 1970); `Infinity` for never. */
  readonly expiresAt: number
}

export interface RecordContext extends RoundContext {
  readonly expiry: RecordExpiry
  readonly isDryRun: boolean
  readonly onUntagged: ((image: UntaggedImage) => void) | undefined
  readonly onFailure: (failure: DeleteFailure) => void
}

/** What became of the records of a store. */
export interface RecordResult {
  /** Records that had expired: of images, of manifests of indexes, of referrers. */
  readonly recordsDeleted: number
  /** Untagged images that stay. */
  readonly untagged: number
  /** Rounds that were opened. */
  readonly rounds: number
}

/**
 * Deletes the records that the last scan of `live` found to have expired, and tells of every untagged
 * image. It comes before content: what an expired record alone needs is garbage from then on.
 */
export async function collectRecords(context: RecordContext): Promise<RecordResult> {
  const { live, isDryRun, signal, expiry, onUntagged } = context
  const tell = (record: RecordEntry, outcome: UntaggedImage['outcome']): void => {
    const { repository, digest, info } = record
    onUntagged?.({ repository, digest, info, outcome, expiresAt: expiry.expiresAt(record) })
  }
  const expired = [...live.expired.values()]
  const { deleted, rounds } = isDryRun
    ? { deleted: expired, rounds: 0 }
    : await deleteExpired(expired, context)
  const gone = new Set(deleted.map(({ info }) => info.key))
  for (const record of deleted) tell(record, isDryRun ? 'would-delete' : 'deleted')
  let untagged = 0
  for await (const record of live.untagged({ signal })) {
    if (gone.has(record.info.key)) continue
    untagged++
    tell(record, 'kept')
  }
  return { recordsDeleted: deleted.length, untagged, rounds }
}

async function deleteExpired(
  expired: readonly ExpiredRecord[],
  context: RecordContext,
): Promise<{ readonly deleted: readonly ExpiredRecord[]; readonly rounds: number }> {
  const { live, signal, onFailure } = context
  const deleted: ExpiredRecord[] = []
  let rounds = 0
  for (let start = 0; start < expired.length; start += RECORDS_OF_A_ROUND) {
    rounds++
    const batch = expired.slice(start, start + RECORDS_OF_A_ROUND)
    const result = await expireRecords(batch, context)
    deleted.push(...result.deleted)
    for (const failure of result.failed) onFailure(failure)
    if (live.unreadable.length > 0) return { deleted, rounds }
  }
  // Those that are left are roots for as long as they are there.
  if (deleted.length < expired.length) await live.scan({ signal })
  return { deleted, rounds }
}
