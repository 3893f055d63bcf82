import { createHash, randomUUID } from 'node:crypto'
import { PROBE_PREFIX } from '@s3lo/core/plugin'
import type { Attempt } from '@s3lo/core/transfer'
import type { S3Service } from './s3-service.ts'

const [SIGNED, SENT] = [Buffer.from('signed'), Buffer.from('sent..')]
/** How services say that a body is not the one that was signed. */
const REFUSALS: ReadonlySet<string> = new Set([
  'BadDigest',
  'SignatureDoesNotMatch',
  'XAmzContentSHA256Mismatch',
])

/** So many bytes with an MD5 cost as much as the trial (bytes). */
const WORTH_BYTES = 1024 * 1024

interface Trial {
  bytes: number
  outcome?: Promise<boolean>
}

const trials = new WeakMap<S3Service, Trial>()

/**
 * True where the service has refused, just now, a body that is not the one that was signed: the hash
 * in the signature then guards each body, and an MD5 would say the same again at twice the cost. Tried
 * once for a service that was proven, when `bytes` and all before them are worth it, by one small
 * write, which is removed where it was let through.
 */
export async function checksPayload(
  service: S3Service,
  bytes: number,
  attempt: Attempt,
): Promise<boolean> {
  if (service.endpoint.isAws || !service.isProven) return false
  const trial = trials.get(service) ?? { bytes: 0 }
  trials.set(service, trial)
  trial.bytes += bytes
  if (trial.bytes >= WORTH_BYTES) trial.outcome ??= tryPayload(service, attempt)
  return trial.outcome ?? false
}

async function tryPayload(service: S3Service, attempt: Attempt): Promise<boolean> {
  const key = `${PROBE_PREFIX}${randomUUID()}/payload`
  const sha256 = createHash('sha256').update(SIGNED).digest('hex')
  try {
    await service.request({ operation: 'PutObject', key, body: SENT, sha256 }, attempt)
  } catch (error) {
    const { reason = '' } = service.requests.toFailure(error, key)
    return REFUSALS.has(reason)
  }
  // What stays is left to the next collection.
  await service.request({ operation: 'DeleteObject', key }, attempt).catch(() => {})
  return false
}
