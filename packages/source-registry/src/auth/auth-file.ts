import { randomUUID } from 'node:crypto'
import { open, realpath, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { type JsonObject, makeFolder, readOptionalFile, S3loError } from '@s3lo/core/plugin'
import { parseSecretJson } from './secret-json.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** A file with credentials, as it was read. */
export interface AuthFile {
  readonly path: string
  readonly document: JsonObject
}

const MAX_SIZE = 4 * 1024 * 1024

/**
 * The files that may have credentials, the first one first: `REGISTRY_AUTH_FILE` alone where it is
 * set; else docker's `config.json`, then podman's `auth.json` of the session and of the user.
 */
export function authFilePaths(env: Environment): readonly string[] {
  const only = env['REGISTRY_AUTH_FILE']
  if (only) return [only]
  const home = absolute(env['HOME']) ?? absolute(env['USERPROFILE']) ?? homedir()
  const runtime = absolute(env['XDG_RUNTIME_DIR'])
  const config = absolute(env['XDG_CONFIG_HOME']) ?? join(home, '.config')
  return [
    join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json'),
    ...(runtime === undefined ? [] : [join(runtime, 'containers', 'auth.json')]),
    join(config, 'containers', 'auth.json'),
  ]
}

/**
 * Reads a file with credentials; `undefined` when there is none. Throws `IO` when it cannot be
 * read and `INTEGRITY` when it is too large or no JSON object, both naming the file and nothing in it.
 */
export async function readAuthFile(path: string): Promise<AuthFile | undefined> {
  const content = await readOptionalFile(path, MAX_SIZE)
  if (content === undefined) return undefined
  const text = content.toString('utf8')
  return { path, document: text.trim() === '' ? {} : parseSecretJson(text, path) }
}

/**
 * Writes a file with credentials as a whole, readable by its owner only: what is there stays until
 * the new one is complete. A link is followed. Throws `IO`.
 */
export async function writeAuthFile({ path, document }: AuthFile): Promise<void> {
  try {
    await makeFolder(dirname(path), { mode: 0o700 })
    const target = await targetOf(path)
    const part = `${target}.${randomUUID()}`
    try {
      await writeWhole(part, `${JSON.stringify(document, undefined, '\t')}\n`)
      await rename(part, target)
    } finally {
      await rm(part, { force: true })
    }
  } catch (error) {
    throw new S3loError('IO', `${path} cannot be written: ${reasonOf(error)}`)
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (isMissing(error)) return path
    throw error
  }
}

function isMissing(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** The system's word for it: messages of the file system repeat the path. */
function reasonOf(error: unknown): string {
  const code = codeOf(error)
  return typeof code === 'string' ? code : String(error)
}

/** A relative path does not count (XDG Base Directory Specification 0.8). */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined
}
