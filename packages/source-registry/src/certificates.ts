import { readFile } from 'node:fs/promises'
import { S3loError, toS3loError } from '@s3lo/core/plugin'

const HINT = 'name a file with the certificate of the authority in PEM: --tls-ca ca.pem'

/**
 * The certificates (PEM) of a file; `undefined` when none is named. Throws `NOT_FOUND`, `IO` when it
 * cannot be read, and `USAGE` for what holds no certificate.
 */
export async function readCertificates(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      const message = `the file of certificates ${path} does not exist`
      throw new S3loError('NOT_FOUND', message, { hint: HINT, cause: error })
    }
    throw toS3loError(error, 'IO', `the certificates in ${path} cannot be read`)
  })
  // Node passes over what is none, and the registry would seem to have a wrong one.
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new S3loError('USAGE', `${path} holds no certificate`, { hint: HINT })
  }
  return text
}
