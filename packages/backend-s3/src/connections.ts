import { type BackendOptions, readBoundedFileSync, S3loError } from '@s3lo/core/plugin'
import { HttpClient } from '@s3lo/core/transfer'

/** Connections at once; parts and small objects share them. */
const MOST_SOCKETS = 64
/** A bundle of all public authorities has some 250 kB. */
const MAX_CA_BYTES = 4 * 1024 * 1024

/**
 * Connections that trust the authority in AWS_CA_BUNDLE and, to https, go through the proxy of
 * HTTPS_PROXY. Throws `USAGE` for a file that cannot be read.
 */
export function httpClient(env: BackendOptions['env']): HttpClient {
  const caFile = env['AWS_CA_BUNDLE']
  return new HttpClient(env, { maxSockets: MOST_SOCKETS, ...(caFile && { ca: readCa(caFile) }) })
}

function readCa(file: string): Buffer {
  try {
    return readBoundedFileSync(file, MAX_CA_BYTES)
  } catch (error) {
    throw new S3loError('USAGE', `the CA file ${file} cannot be read`, {
      hint: 'correct AWS_CA_BUNDLE',
      cause: error,
    })
  }
}
