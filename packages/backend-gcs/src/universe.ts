import { asString, type BackendOptions, optional, S3loError } from '@s3lo/core/plugin'
import { findCredentialFile } from './credential-file.ts'

/** The domain of Google's own cloud; the clouds that partners run have others. */
export const GOOGLE_UNIVERSE = 'googleapis.com'

/**
 * The domain below which the services are: that of the credentials, which GOOGLE_CLOUD_UNIVERSE_DOMAIN
 * can only repeat, since a token must go nowhere else. Throws `USAGE` where the two differ.
 */
export async function findUniverse({
  env,
  credentials,
}: Pick<BackendOptions, 'env' | 'credentials'>): Promise<string> {
  const named = env['GOOGLE_CLOUD_UNIVERSE_DOMAIN']?.trim() || undefined
  const given = credentials === undefined ? await findCredentialFile(env) : { ...credentials }
  const own = domainOf(given)
  // Neither a machine's credentials nor a client of the library have a file that says so.
  const isFile = given !== undefined && 'type' in given
  const universe = own ?? (isFile ? GOOGLE_UNIVERSE : (named ?? GOOGLE_UNIVERSE))
  if (named !== undefined && named !== universe) {
    throw new S3loError('USAGE', `the credentials are of ${universe}, and not of ${named}`, {
      hint: 'correct GOOGLE_CLOUD_UNIVERSE_DOMAIN, or use credentials of that universe',
    })
  }
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(universe)) return universe
  throw new S3loError('USAGE', 'the universe domain of the Google credentials is no domain', {
    hint: 'use the form example-apis.com',
  })
}

function domainOf(file: object | undefined): string | undefined {
  if (file === undefined) return undefined
  const members = { ...file } as Readonly<Record<string, unknown>>
  return optional(members, 'universe_domain', 'the credential file', asString) || undefined
}
