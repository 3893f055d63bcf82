import { randomUUID } from 'node:crypto'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { PROBE_PREFIX } from '@s3lo/core/plugin'
import type { Attempt } from '@s3lo/core/transfer'
import { replaceBody } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

const [SIGNED, SENT] = [Buffer.from('signed'), Buffer.from('sent..')]
/** How services say that a body is not the one that was signed. */
const REFUSALS: ReadonlySet<string> = new Set([
  'BadDigest',
  'SignatureDoesNotMatch',
  'XAmzContentSHA256Mismatch',
])

const found = new WeakMap<S3Service, Promise<boolean>>()

/**
 * True where the service has refused, just now, a body that is not the one that was signed: the hash
 * in the signature then guards each body, and an MD5 would say the same again at twice the cost. Tried
 * once for a service, by one small write, which is removed where it was let through.
 */
export function checksPayload(service: S3Service, attempt: Attempt): Promise<boolean> {
  const known = found.get(service) ?? tryPayload(service, attempt)
  found.set(service, known)
  return known
}

async function tryPayload(service: S3Service, { signal }: Attempt): Promise<boolean> {
  const { client } = await service.sdk()
  const target = { Bucket: service.bucket, Key: `${PROBE_PREFIX}${randomUUID()}/payload` }
  const command = new PutObjectCommand({ ...target, Body: SIGNED, ContentLength: SIGNED.length })
  replaceBody(command, SENT)
  try {
    await client.send(command, { abortSignal: signal })
  } catch (error) {
    const { reason = '' } = service.requests.toFailure(error, target.Key)
    return REFUSALS.has(reason)
  }
  // What stays is left to the next collection.
  await client.send(new DeleteObjectCommand(target), { abortSignal: signal }).catch(() => {})
  return false
}
