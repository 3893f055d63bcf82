import { randomUUID } from 'node:crypto'
import { isS3loError, PROBE_PREFIX, type PutOptions, S3loError } from '@s3lo/core/plugin'

/** How the proof writes and cleans up. */
export interface ProofOptions {
  /** For messages. */
  readonly name: string
  readonly put: (key: string, options: PutOptions) => Promise<{ readonly etag: string }>
  readonly delete: (keys: readonly string[]) => Promise<unknown>
}

const ROUNDS = 2
const RACERS = 20

/**
 * Finds out whether a service that is not Google's own heeds conditions: of racing creates exactly
 * one wins, and a stale generation is refused. Throws `UNSUPPORTED` where it does not, since a tag
 * that two clients write would be lost there.
 */
export async function proveConditions(options: ProofOptions): Promise<void> {
  const keys = Array.from({ length: ROUNDS }, () => PROBE_PREFIX + randomUUID())
  try {
    for (const key of keys) await proveOne(options, key)
  } finally {
    await options.delete(keys)
  }
}

async function proveOne({ name, put }: ProofOptions, key: string): Promise<void> {
  const isWinner = async (options: PutOptions): Promise<string | undefined> => {
    try {
      return (await put(key, options)).etag
    } catch (error) {
      if (isS3loError(error, 'CONFLICT')) return undefined
      throw error
    }
  }
  const outcomes = await Promise.allSettled(
    Array.from({ length: RACERS }, () => isWinner({ condition: { kind: 'absent' } })),
  )
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) throw failed.reason
  const [etag, ...others] = outcomes.flatMap((outcome) =>
    outcome.status === 'fulfilled' && outcome.value !== undefined ? [outcome.value] : [],
  )
  if (etag === undefined || others.length > 0) throw unproven(name)
  await put(key, {})
  if ((await isWinner({ condition: { kind: 'unchanged', etag } })) !== undefined) {
    throw unproven(name)
  }
}

function unproven(name: string): S3loError {
  return new S3loError('UNSUPPORTED', `the service of ${name} does not heed conditions`, {
    hint: 'use an emulator that knows ifGenerationMatch: tags could be lost here',
  })
}
