import { readFile } from 'node:fs/promises'
import { toS3loError } from '@s3lo/core/plugin'

/** The certificates (PEM) of a file; `undefined` when none is named. Throws when it cannot be read. */
export async function readCertificates(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw toS3loError(error, 'IO', `the certificates in ${path} cannot be read`)
  }
}
