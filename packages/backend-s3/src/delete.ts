import type { Attempt, BatchAnswer, Failure } from '@s3lo/core/transfer'
import { toKeyFailure } from './errors.ts'
import type { S3Service } from './s3-service.ts'
import { elementsOf, escapeXml, textOf, XMLNS, type XmlElement } from './xml.ts'

/** How a service answers that it has deleted an object. Any other answer may be a proxy's. */
const NO_CONTENT = 204

interface DeleteSettings {
  readonly notAfter?: Date | undefined
}

/** True where the answer proves that the object is gone. */
export async function deleteObject(
  service: S3Service,
  key: string,
  { notAfter }: DeleteSettings,
  attempt: Attempt,
): Promise<boolean> {
  const { status } = await service.request({ operation: 'DeleteObject', key, notAfter }, attempt)
  return status === NO_CONTENT
}

/** Deletes up to 1000 keys in one request. */
export async function deleteBatch(
  service: S3Service,
  keys: readonly string[],
  { notAfter }: DeleteSettings,
  attempt: Attempt,
): Promise<BatchAnswer> {
  const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`)
  // A quiet answer would not tell a key that was deleted from one that was left out.
  const body = Buffer.from(`<Delete xmlns="${XMLNS}">${objects.join('')}</Delete>`)
  const { document } = await service.request(
    {
      operation: 'DeleteObjects',
      query: { delete: '' },
      headers: { 'content-type': 'application/xml' },
      body,
      // S3 wants one of a batch, beside the hash that is signed.
      checksum: service.endpoint.isAws ? 'sha256' : 'md5',
      notAfter,
    },
    attempt,
  )
  return answerOf(service, document)
}

function answerOf(service: S3Service, document: XmlElement | undefined): BatchAnswer {
  const entries = (name: string): readonly XmlElement[] =>
    document === undefined ? [] : elementsOf(document, name)
  const deleted = new Set(entries('Deleted').flatMap((entry) => textOf(entry, 'Key') ?? []))
  const failures = new Map<string, Failure>()
  for (const entry of entries('Error')) {
    const key = textOf(entry, 'Key')
    const code = textOf(entry, 'Code')
    if (key === undefined) continue
    if (code === 'NoSuchKey' || code === 'NoSuchVersion') deleted.add(key)
    else failures.set(key, toKeyFailure(code, service.nameOf(key)))
  }
  return { deleted, failures }
}
