import { type BackendOptions, S3loError } from '@s3lo/core/plugin'

/** Where the service is, and what is known of it without asking. */
export interface S3Endpoint {
  /** `undefined` for AWS, which has an endpoint in each region. */
  readonly url?: string
  /** AWS proper: its promises are known and need no proof. */
  readonly isAws: boolean
  /** As it is called in messages and in what is remembered about it. */
  readonly name: string
}

/** The service that `--endpoint`, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL names, else AWS. Throws `USAGE`. */
export function resolveEndpoint({ endpoint, env }: BackendOptions): S3Endpoint {
  const text = endpoint || env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL']
  if (!text) return { isAws: true, name: 'aws' }
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash) {
    // The text is not repeated: credentials could be pasted into it.
    throw new S3loError('USAGE', 'the S3 endpoint is not an http or https URL', {
      hint: 'use the form https://s3.example.com',
    })
  }
  const href = url.href.replace(/\/+$/, '')
  const isAws = /(^|\.)amazonaws\.com(\.cn)?$/.test(url.hostname)
  return { url: href, isAws, name: href }
}

/** Also keeps `..` and `/` out of the URL. Throws `INVALID_REFERENCE`. */
export function assertBucketName(name: string): void {
  if (name.startsWith('arn:')) {
    throw new S3loError('UNSUPPORTED', `${name} is an access point ARN, which has no s3:// form`, {
      hint: "use the access point's alias, which ends in -s3alias, in place of a bucket",
    })
  }
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(name) && !name.includes('..')) return
  throw new S3loError('INVALID_REFERENCE', `"${name}" cannot be the name of a bucket`, {
    hint: 'use 3 to 63 lower-case letters, digits, dots and hyphens',
  })
}
