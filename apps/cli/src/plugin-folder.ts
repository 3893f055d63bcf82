import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isS3loError, makeFolder, readOptionalFile, S3loError } from '@s3lo/core/plugin'
import { npm, type NpmOptions } from './npm.ts'

/** What npm knows about a folder, in the order in which it is put back. */
const RECORDS = ['package.json', 'package-lock.json'] as const

/** Lock files of very large projects have some 10 MB. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024

/** What npm itself notes when it has changed a folder's packages. */
const INSTALLED = 'node_modules/.package-lock.json'

/**
 * Changes the packages of a plugin folder. When `change` throws, the folder is put back as it was,
 * with the packages that npm has in its cache.
 */
export async function changeFolder<T>(options: NpmOptions, change: () => Promise<T>): Promise<T> {
  const { folder, signal } = options
  await makePrivate(folder)
  const before = await readState(folder)
  if (before.records[0] === undefined) await describeFolder(folder)
  try {
    return await change()
  } catch (error) {
    await restore(options, before).catch((failure: unknown) => {
      signal?.throwIfAborted()
      throw notRestored(folder, error, failure)
    })
    throw error
  }
}

/** Makes the folder the user's alone: what lies in it runs with the user's rights. */
async function makePrivate(folder: string): Promise<void> {
  await makeFolder(folder, { mode: 0o700 })
  await chmod(folder, 0o700)
}

interface FolderState {
  /** The content of each of {@link RECORDS}; absent where there was none. */
  readonly records: readonly (Buffer | undefined)[]
  readonly installed: Buffer | undefined
}

async function readState(folder: string): Promise<FolderState> {
  const [records, installed] = await Promise.all([
    Promise.all(RECORDS.map((file) => readOptionalFile(join(folder, file), MAX_RECORD_BYTES))),
    readOptionalFile(join(folder, INSTALLED), MAX_RECORD_BYTES),
  ])
  return { records, installed }
}

async function restore(options: NpmOptions, before: FolderState): Promise<void> {
  const { folder, signal } = options
  const now = await readState(folder)
  for (const [i, file] of RECORDS.entries()) {
    const content = before.records[i]
    await (content ? writeFile(join(folder, file), content) : rm(join(folder, file), FORCE))
  }
  if (isEqual(now.installed, before.installed) || signal?.aborted) return
  if (before.installed) await npm('install', [], { ...options, preferCache: true })
  else await rm(join(folder, 'node_modules'), { ...FORCE, recursive: true })
}

const FORCE = { force: true } as const

function isEqual(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b))
}

/** A folder that npm takes for a project of its own, in any folder. */
async function describeFolder(folder: string): Promise<void> {
  const content = `${JSON.stringify({ name: 's3lo-plugins', private: true }, null, 2)}\n`
  await writeFile(join(folder, 'package.json'), content)
}

function notRestored(folder: string, error: unknown, failure: unknown): S3loError {
  const [why, also] = [error, failure].map((each) =>
    each instanceof Error ? each.message : String(each),
  )
  return new S3loError(
    isS3loError(error) ? error.code : 'INTERNAL',
    `${why}; then ${folder} could not be put back: ${also}`,
    {
      hint: `remove ${join(folder, 'node_modules')}, then run: npm install --prefix ${folder}`,
      cause: error,
    },
  )
}
