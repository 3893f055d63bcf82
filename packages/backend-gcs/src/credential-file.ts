import { join } from 'node:path'
import {
  asObject,
  type BackendOptions,
  isS3loError,
  type JsonObject,
  parseJson,
  readBoundedFile,
  S3loError,
} from '@s3lo/core/plugin'

type Environment = BackendOptions['env']

/** More than any credential file has (bytes). */
const MAX_FILE_BYTES = 1024 * 1024

/**
 * The credential file of this user: the one that GOOGLE_APPLICATION_CREDENTIALS names, else the one
 * that gcloud keeps. `undefined` when there is none; throws `UNAUTHORIZED` for one that is named
 * and cannot be read.
 */
export async function findCredentialFile(env: Environment): Promise<JsonObject | undefined> {
  const named = env['GOOGLE_APPLICATION_CREDENTIALS']?.trim()
  if (named) return readCredentialFile(named)
  const folder = gcloudFolder(env)
  if (folder === undefined) return undefined
  try {
    return await readCredentialFile(join(folder, 'application_default_credentials.json'))
  } catch (error) {
    if (error instanceof S3loError && isS3loError(error.cause, 'NOT_FOUND')) return undefined
    throw error
  }
}

/** The file of GOOGLE_APPLICATION_CREDENTIALS only, when it is set. */
export async function namedCredentialFile(env: Environment): Promise<JsonObject | undefined> {
  const named = env['GOOGLE_APPLICATION_CREDENTIALS']?.trim()
  return named ? readCredentialFile(named) : undefined
}

function gcloudFolder(env: Environment): string | undefined {
  const folder = env['CLOUDSDK_CONFIG']
  if (folder) return folder
  if (process.platform === 'win32') {
    const roaming = env['APPDATA']
    return roaming ? join(roaming, 'gcloud') : undefined
  }
  const home = env['HOME']
  return home ? join(home, '.config', 'gcloud') : undefined
}

async function readCredentialFile(path: string): Promise<JsonObject> {
  let content: Buffer
  try {
    content = await readBoundedFile(path, MAX_FILE_BYTES)
  } catch (cause) {
    throw unusable(`the credential file ${path} cannot be read`, cause)
  }
  try {
    return asObject(parseJson(content, path), path)
  } catch {
    // Without the cause: a parser may quote the file, which holds a key.
    throw unusable(`${path} is no credential file`)
  }
}

function unusable(message: string, cause?: unknown): S3loError {
  const hint =
    'check GOOGLE_APPLICATION_CREDENTIALS, or log in with: gcloud auth application-default login'
  return new S3loError('UNAUTHORIZED', message, { hint, cause })
}
