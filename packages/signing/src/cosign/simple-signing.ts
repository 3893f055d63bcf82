import {
  asObject,
  asString,
  isS3loError,
  optional,
  parseStrictJson,
  refuseLookalikes,
} from '@s3lo/core/plugin'

/** The annotation of such a layer: the signature of its bytes, base64. */
export const SIGNATURE_ANNOTATION = 'dev.cosignproject.cosign/signature'

const TYPE = 'cosign container image signature'

/** The member of `optional` that says where the image was signed; only s3lo writes and reads it. */
const PLACE = 's3lo.place'

/** What a simple signing payload says; all of it is covered by its signature. */
export interface SimpleSigning {
  readonly digest: string
  /** `bucket/image:tag`; only in ours. */
  readonly place?: string
  /** When it was signed by the signer's clock; only in ours. */
  readonly signedAt?: Date
}

/** A payload of ours. `image` is the image's name. */
export function formatSimpleSigning(
  image: string,
  { digest, place, signedAt }: Required<SimpleSigning>,
): Uint8Array {
  const critical = {
    identity: { 'docker-reference': image },
    image: { 'docker-manifest-digest': digest },
    type: TYPE,
  }
  const timestamp = Math.floor(signedAt.getTime() / 1000)
  const given = { creator: 's3lo', timestamp, [PLACE]: place }
  return Buffer.from(JSON.stringify({ critical, optional: given }))
}

/** Reads a payload whose signature was verified; a text says what is wrong with it. */
export function parseSimpleSigning(content: Uint8Array): SimpleSigning | string {
  const what = 'the payload'
  try {
    const payload = asObject(parseStrictJson(content, what), what)
    refuseLookalikes(payload, new Set(['critical', 'optional']), what)
    const critical = asObject(payload['critical'], `${what}.critical`)
    refuseLookalikes(critical, new Set(['identity', 'image', 'type']), `${what}.critical`)
    if (critical['type'] !== TYPE) return `${what} is not about a container image`
    const image = asObject(critical['image'], `${what}.critical.image`)
    refuseLookalikes(image, new Set(['docker-manifest-digest']), `${what}.critical.image`)
    const given = optional(payload, 'optional', what, asObject) ?? {}
    const place = given[PLACE]
    const timestamp = given['timestamp']
    return {
      digest: asString(image['docker-manifest-digest'], `${what}: docker-manifest-digest`),
      ...(typeof place === 'string' ? { place } : {}),
      ...(isTimestamp(timestamp) ? { signedAt: new Date(timestamp * 1000) } : {}),
    }
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return error.message
    throw error
  }
}

/** Seconds that a date holds. */
function isTimestamp(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= 8.64e12
}
