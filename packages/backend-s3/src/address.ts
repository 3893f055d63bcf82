import type { S3Endpoint } from './endpoint.ts'

/** Where the requests about a bucket go. */
export interface BucketAddress {
  readonly origin: URL
  /** What the key follows: `/` where the host is the bucket's own. */
  readonly path: string
}

/** Buckets whose requests are addressed and signed in ways of their own: directory buckets, Outposts. */
const SPECIAL = /--(x-s3|xa-s3|op-s3)$/
/** The domains of the partitions whose regions have such names. */
const DOMAINS: readonly (readonly [RegExp, string])[] = [
  [/^(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$/, 'amazonaws.com'],
  [/^us-gov-\w+-\d+$/, 'amazonaws.com'],
  [/^cn-\w+-\d+$/, 'amazonaws.com.cn'],
]

/**
 * The address of a bucket in a region: in the path, and at AWS in the name of the host. `undefined`
 * where only the SDK knows it.
 */
export function addressOf(
  { url, isAws }: S3Endpoint,
  bucket: string,
  region: string,
): BucketAddress | undefined {
  if (!isAws) return inPath(new URL(url ?? ''), bucket)
  if (SPECIAL.test(bucket)) return undefined
  const domain = DOMAINS.find(([names]) => names.test(region))?.[1]
  if (url === undefined && domain === undefined) return undefined
  const origin = new URL(url ?? `https://s3.${region}.${domain}`)
  if (!isHostName(bucket, origin.protocol)) return inPath(origin, bucket)
  const own = new URL(origin)
  own.hostname = `${bucket}.${origin.hostname}`
  return { origin: own, path: basePath(origin) }
}

function inPath(origin: URL, bucket: string): BucketAddress {
  return { origin, path: `${basePath(origin)}${bucket}/` }
}

function basePath({ pathname }: URL): string {
  return pathname.endsWith('/') ? pathname : `${pathname}/`
}

/** With a dot in the bucket's name, the certificate of AWS does not hold for the host. */
function isHostName(bucket: string, protocol: string): boolean {
  const isAddress = /^\d+(\.\d+){3}$/.test(bucket)
  if (isAddress || !/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) return false
  return !bucket.includes('.') || protocol === 'http:'
}
