import type { CallOptions } from '../contract/call-options.ts'
import { type Finding, type StorageBackend, supports } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { formatStore } from '../layout/format-store.ts'

/** Uploads that were begun more than a day ago and never ended: their parts cost money. */
export interface InterruptedUploads {
  readonly count: number
  /** RFC 3339, UTC. */
  readonly oldest_started_at?: string
}

/** What was learned of them; nothing found where the store has none or does not tell. */
export interface UploadsReport {
  readonly found?: InterruptedUploads
  readonly findings: readonly Finding[]
}

/** One that is younger may still be running. */
const INTERRUPTED_AFTER_MS = 24 * 3_600_000

/** Counts interrupted uploads, where the backend has such and the credentials may list them. */
export async function findInterruptedUploads(
  backend: StorageBackend,
  {
    now = () => new Date(),
    signal,
  }: CallOptions & { readonly now?: (() => Date) | undefined } = {},
): Promise<UploadsReport> {
  if (!supports(backend, 'abandonedUploads')) return { findings: [] }
  const limit = now().getTime() - INTERRUPTED_AFTER_MS
  let count = 0
  let oldest: Date | undefined
  try {
    for await (const { startedAt } of backend.abandonedUploads({ signal })) {
      if (startedAt.getTime() > limit) continue
      count++
      if (!oldest || startedAt < oldest) oldest = startedAt
    }
  } catch (error) {
    return { findings: [unanswered(error, 'interrupted uploads are not counted')] }
  }
  if (!oldest) return { found: { count: 0 }, findings: [] }
  const since = oldest.toISOString()
  const message = `${count} interrupted uploads cost money, the oldest since ${since}`
  const hint = `s3lo clean ${formatStore(backend)} --blobs --confirm`
  return {
    found: { count, oldest_started_at: since },
    findings: [{ severity: 'notice', message, hint }],
  }
}

/** What the backend itself finds about its provider's settings. */
export async function diagnose(
  backend: StorageBackend,
  { signal }: CallOptions = {},
): Promise<readonly Finding[]> {
  if (!supports(backend, 'diagnose')) return []
  const findings: Finding[] = []
  try {
    for await (const finding of backend.diagnose({ signal })) findings.push(finding)
  } catch (error) {
    findings.push(unanswered(error, "the provider's settings are not checked"))
  }
  return findings
}

/** Advice that may not be asked for is left out and said so; any other failure is thrown. */
function unanswered(error: unknown, what: string): Finding {
  if (!isS3loError(error, 'FORBIDDEN') && !isS3loError(error, 'UNSUPPORTED')) throw error
  return { severity: 'notice', message: `${what}: ${error.message}` }
}
