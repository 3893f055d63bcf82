import { isS3loError, readBoundedFile, S3loError } from '@s3lo/core/plugin'

const HINT = 'name a file with the certificate of the authority in PEM: --tls-ca ca.pem'
/** A bundle of all public authorities has some 250 kB. */
const MAX_BYTES = 4 * 1024 * 1024

/**
 * The certificates (PEM) of a file; `undefined` when none is named. Throws `NOT_FOUND`, `IO` when it
 * cannot be read, `INTEGRITY` for more than 4 MiB, and `USAGE` for what holds no certificate.
 */
export async function readCertificates(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  const content = await readBoundedFile(path, MAX_BYTES).catch((error: unknown) => {
    if (!isS3loError(error)) throw error
    throw new S3loError(error.code, error.message, { hint: HINT, cause: error })
  })
  const text = content.toString('utf8')
  // Node passes over what is none, and the registry would seem to have a wrong one.
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new S3loError('USAGE', `${path} holds no certificate`, { hint: HINT })
  }
  return text
}
