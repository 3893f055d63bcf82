import type { DeleteFailure } from '../contract/storage-backend.ts'
import { referrerEntryKey } from '../layout/repository-keys.ts'
import type { ExpiredRecord } from './live-records.ts'
import type { RecordExpiry } from './record-expiry.ts'
import { inCollectorRound, type RoundContext } from './round.ts'

/** What became of records that had expired. */
export interface RecordRoundResult {
  readonly deleted: readonly ExpiredRecord[]
  readonly failed: readonly DeleteFailure[]
}

/**
 * Deletes the records that have still expired when everything was looked at again: in a round that
 * names their manifests, the pins, then the tags, then the records themselves, whose dates in this last
 * listing count. What only they need goes in a later mark. Deletes nothing while a manifest cannot be
 * read: see `live.unreadable`.
 */
export async function expireRecords(
  candidates: readonly ExpiredRecord[],
  { expiry, ...context }: RoundContext & { readonly expiry: RecordExpiry },
): Promise<RecordRoundResult> {
  const { live, signal } = context
  const names = candidates.flatMap((record) => record.names)
  return inCollectorRound(names, context, async (round) => {
    const { isPinned, openedAt } = round
    await live.scan({ signal, isPinned, expiry: { now: openedAt, expiry } })
    if (live.unreadable.length > 0) return { deleted: [], failed: [] }
    const doomed = candidates.filter(({ info }) => live.expired.has(info.key))
    // Nothing is listed that cannot be read: what tells of a referrer goes before it.
    const lost = await round.delete(doomed.flatMap(entryOf))
    const left = new Set(lost.map(({ key }) => key))
    const ready = doomed.filter((record) => !entryOf(record).some((key) => left.has(key)))
    const failed = await round.delete(ready.map(({ info }) => info.key))
    const kept = new Set(failed.map(({ key }) => key))
    const deleted = ready.filter(({ info }) => !kept.has(info.key))
    return { deleted, failed: [...lost, ...failed] }
  })
}

function entryOf({ repository, digest, subject }: ExpiredRecord): readonly string[] {
  return subject === undefined ? [] : [referrerEntryKey(repository, subject, digest)]
}
