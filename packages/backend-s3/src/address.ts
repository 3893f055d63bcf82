import { S3loError } from '@s3lo/core/plugin'
import type { S3Endpoint } from './endpoint.ts'
import type { SigningService } from './signature.ts'

/** Where the requests about a bucket go. */
export interface BucketAddress {
  readonly origin: URL
  /** What the key follows: `/` where the host is the bucket's own. */
  readonly path: string
  /** What the requests are signed for. */
  readonly service: SigningService
}

/** The special addresses of AWS that are to be used. */
export interface AddressKind {
  readonly isFips: boolean
  readonly isDualStack: boolean
}

const DEFAULT_DOMAIN = 'amazonaws.com'
/** The domains of the partitions of AWS that have one of their own, by the names of their regions. */
const DOMAINS: readonly (readonly [RegExp, string])[] = [
  [/^cn-/, 'amazonaws.com.cn'],
  [/^eusc-/, 'amazonaws.eu'],
  [/^us-iso-/, 'c2s.ic.gov'],
  [/^us-isob-/, 'sc2s.sgov.gov'],
  [/^us-isof-/, 'csp.hci.ic.gov'],
  [/^eu-isoe-/, 'cloud.adc-e.uk'],
]
/** Names of directory buckets, and of access points to them, end in their zone and one of these. */
const DIRECTORY = /--([a-z0-9-]+)--(x-s3|xa-s3)$/
/** Aliases of access points to a bucket on Outposts: the Outpost's name and the kind of its hardware. */
const OUTPOST = /([eo])([a-z0-9-]{17}).{25}--op-s3$/

/**
 * The address of a bucket in a region: in the path, and at AWS in the name of the host. Throws `USAGE`
 * for a region that cannot be one of AWS.
 */
export function addressOf(
  { url, isAws }: S3Endpoint,
  bucket: string,
  region: string,
  kind: AddressKind,
): BucketAddress {
  if (!isAws) return inPath(new URL(url ?? ''), bucket)
  assertRegion(region)
  const domain = `${region}.${DOMAINS.find(([names]) => names.test(region))?.[1] ?? DEFAULT_DOMAIN}`
  return (
    directoryAddress(url, bucket, domain, kind) ??
    outpostAddress(bucket, domain) ??
    bucketAddress(url, bucket, domain, kind)
  )
}

/** Whether the bucket, or the access point, is a directory, which has its own ways to be signed for. */
export function isDirectory({ isAws }: S3Endpoint, bucket: string): boolean {
  return isAws && DIRECTORY.test(bucket)
}

function assertRegion(region: string): void {
  if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(region)) return
  throw new S3loError('USAGE', `${JSON.stringify(region)} cannot be a region of AWS`, {
    hint: 'correct AWS_REGION, or the region of the profile',
  })
}

/** A region as it is signed for: some settings name one of AWS in ways that are out of use. */
export function realRegion(setting: string): { readonly region: string; readonly isFips: boolean } {
  const region = setting.replace(/^fips-|-fips$/, '')
  const isGlobal = region === 'aws-global' || region === 'aws'
  return { region: isGlobal ? 'us-east-1' : region, isFips: region !== setting }
}

function bucketAddress(
  url: string | undefined,
  bucket: string,
  domain: string,
  { isFips, isDualStack }: AddressKind,
): BucketAddress {
  const host = `s3${isFips ? '-fips' : ''}${isDualStack ? '.dualstack' : ''}`
  const origin = new URL(url ?? `https://${host}.${domain}`)
  return isHostName(bucket, origin.protocol) ? inHost(origin, bucket, 's3') : inPath(origin, bucket)
}

function directoryAddress(
  url: string | undefined,
  bucket: string,
  domain: string,
  { isFips, isDualStack }: AddressKind,
): BucketAddress | undefined {
  const zone = DIRECTORY.exec(bucket)?.[1]
  if (zone === undefined) return undefined
  const host = `s3express${isFips ? '-fips' : ''}-${zone}${isDualStack ? '.dualstack' : ''}`
  return inHost(new URL(url ?? `https://${host}.${domain}`), bucket, 's3express')
}

/** Outposts have no endpoint but their own. */
function outpostAddress(bucket: string, domain: string): BucketAddress | undefined {
  const [, hardware, outpost] = OUTPOST.exec(bucket) ?? []
  if (hardware === undefined) return undefined
  const host = hardware === 'e' ? 'ec2' : `op-${outpost}`
  return inHost(new URL(`https://${host}.s3-outposts.${domain}`), bucket, 's3-outposts')
}

function inHost(origin: URL, bucket: string, service: SigningService): BucketAddress {
  const own = new URL(origin)
  own.hostname = `${bucket}.${origin.hostname}`
  return { origin: own, path: basePath(origin), service }
}

function inPath(origin: URL, bucket: string): BucketAddress {
  return { origin, path: `${basePath(origin)}${bucket}/`, service: 's3' }
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
