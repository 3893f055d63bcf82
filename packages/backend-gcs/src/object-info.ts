import type { IncomingHttpHeaders } from 'node:http'
import { ForeignAnswerError } from '@s3lo/core/transfer'
import { type JsonObject, type ObjectInfo, optional, asString } from '@s3lo/core/plugin'

/** The members of an object's resource that are asked for. */
export const OBJECT_FIELDS = 'name,size,generation,updated,storageClass,md5Hash,metadata'

/** The facts of an object in the JSON API. Throws {@link ForeignAnswerError} where they are none. */
export function toObjectInfo(resource: JsonObject): ObjectInfo {
  const { name, size, generation, updated, storageClass } = resource
  if (typeof name !== 'string') throw new ForeignAnswerError('an object without a name')
  return objectInfo(name, { size, generation, date: updated, storageClass })
}

/** The facts of an object in the headers of an answer that carries it, or has stored it. */
export function infoOfHeaders(
  key: string,
  headers: IncomingHttpHeaders,
  size: string | undefined,
): ObjectInfo {
  return objectInfo(key, {
    size,
    generation: headers['x-goog-generation'],
    date: headers['last-modified'] ?? headers.date,
    storageClass: headers['x-goog-storage-class'],
  })
}

/** The value of one key of an object's own metadata. */
export function metadataOf(resource: JsonObject, key: string): string | undefined {
  const { metadata } = resource
  if (typeof metadata !== 'object' || metadata === null) return undefined
  return optional(metadata as JsonObject, key, 'metadata', asString)
}

interface Facts {
  readonly size: unknown
  readonly generation: unknown
  readonly date: unknown
  readonly storageClass: unknown
}

function objectInfo(key: string, { size, generation, date, storageClass }: Facts): ObjectInfo {
  // 64-bit numbers stand in texts. A generation is never calculated with, so it stays one.
  const bytes = typeof size === 'string' && /^\d+$/.test(size) ? Number(size) : Number.NaN
  const lastModified = new Date(typeof date === 'string' ? date : Number.NaN)
  if (
    !Number.isSafeInteger(bytes) ||
    typeof generation !== 'string' ||
    !/^[1-9]\d*$/.test(generation) ||
    Number.isNaN(lastModified.getTime())
  ) {
    throw new ForeignAnswerError('the facts of an object are incomplete')
  }
  return {
    key,
    size: bytes,
    etag: generation,
    lastModified,
    ...(typeof storageClass === 'string' && { storageClass }),
  }
}
