import type { BigIntStats, Dirent } from 'node:fs'
import { lstat, opendir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectInfo } from '@s3lo/core/plugin'
import { errnoOf, ignoring } from './errors.ts'
import { compareKeys, isComponent, isHidden, splitPrefix } from './key-path.ts'
import { toObjectInfo } from './object-info.ts'
import type { StoreRoot } from './store-root.ts'

/** How many files are looked at ahead of the reader. */
const AHEAD = 64

/** What is wanted of a listing. */
export interface ListFilter {
  readonly prefix: string
  readonly startAfter?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** A file or a folder in the store; a folder's key ends in a slash. */
interface Entry {
  readonly key: string
  readonly path: string
  /** The real path of a folder that was reached through a link. */
  readonly real?: string
}

/**
 * Every object that the filter wants, in key order, with one directory at a time in memory on each
 * level. Folders that can hold no wanted key are not opened. Throws `NOT_FOUND` without a root.
 */
export async function* listObjects(
  root: StoreRoot,
  filter: ListFilter,
): AsyncGenerator<ObjectInfo, void> {
  filter.signal?.throwIfAborted()
  const { folder } = splitPrefix(filter.prefix)
  const real = await root.real()
  const path = join(root.path, folder)
  if ((await root.resolveInside(path, folder)) === undefined) return
  yield* walk(root, { key: folder, path, real }, filter, [])
}

/** The folders just below the prefix that hold an object, in key order. */
export async function* listFolders(
  root: StoreRoot,
  { prefix, signal }: ListFilter,
): AsyncGenerator<string, void> {
  signal?.throwIfAborted()
  const { folder } = splitPrefix(prefix)
  await root.assertExists()
  const path = join(root.path, folder)
  if ((await root.resolveInside(path, folder)) === undefined) return
  for (const entry of await entriesOf(root, { key: folder, path })) {
    signal?.throwIfAborted()
    if (!entry.key.startsWith(prefix) || !isFolder(entry)) continue
    if (await holdsObject(root, entry, [], signal)) yield entry.key
  }
}

async function* walk(
  root: StoreRoot,
  folder: Entry,
  filter: ListFilter,
  links: readonly string[],
): AsyncGenerator<ObjectInfo, void> {
  const wanted = (await entriesOf(root, folder)).filter((entry) => isWanted(entry, filter))
  for (let start = 0; start < wanted.length;) {
    const first = wanted[start]
    if (first !== undefined && isFolder(first)) {
      start += 1
      if (entersCycle(first, links)) continue
      yield* walk(root, first, filter, deeper(first, links))
      continue
    }
    const files = filesFrom(wanted, start)
    start += files.length
    for (const info of await Promise.all(files.map((file) => infoOf(root, file)))) {
      filter.signal?.throwIfAborted()
      if (info !== undefined) yield info
    }
  }
  filter.signal?.throwIfAborted()
}

function isWanted(entry: Entry, { prefix, startAfter }: ListFilter): boolean {
  const { key } = entry
  // A folder is worth opening when it lies below the prefix; the walk starts at the prefix's own.
  if (!key.startsWith(prefix)) return false
  if (startAfter === undefined || compareKeys(key, startAfter) > 0) return true
  return isFolder(entry) && startAfter.startsWith(key)
}

function filesFrom(entries: readonly Entry[], start: number): readonly Entry[] {
  let end = start
  while (end < entries.length && end - start < AHEAD) {
    const entry = entries[end]
    if (entry === undefined || isFolder(entry)) break
    end += 1
  }
  return entries.slice(start, end)
}

/** The entries of a folder in key order: a folder sorts as its name with the slash. */
async function entriesOf(root: StoreRoot, folder: Entry): Promise<readonly Entry[]> {
  const found = await readdir(folder.path, { withFileTypes: true }).catch(
    ignoring('ENOENT', 'ENOTDIR'),
  )
  const entries: Entry[] = []
  for (const dirent of found ?? []) {
    const entry = await toEntry(root, folder, dirent)
    if (entry !== undefined && !isHidden(entry.key)) entries.push(entry)
  }
  return entries.sort((a, b) => compareKeys(a.key, b.key))
}

async function toEntry(root: StoreRoot, folder: Entry, dirent: Dirent): Promise<Entry | undefined> {
  const { name } = dirent
  // Nothing reads or deletes a key with such a name, so it is not one.
  if (!isComponent(name)) return undefined
  const key = folder.key + name
  const path = join(folder.path, name)
  if (dirent.isFile()) return { key, path }
  if (dirent.isDirectory()) return { key: `${key}/`, path }
  if (!dirent.isSymbolicLink()) return undefined
  // A link that leads out of the store is FORBIDDEN, not missing: who collects garbage must know
  // that it does not see everything.
  const real = await root.resolveInside(path, key)
  const stats = real === undefined ? undefined : await lstat(real).catch(ignoring('ENOENT'))
  if (real === undefined || stats === undefined) return undefined
  if (stats.isDirectory()) return { key: `${key}/`, path, real }
  return stats.isFile() ? { key, path } : undefined
}

async function infoOf(root: StoreRoot, { key, path }: Entry): Promise<ObjectInfo | undefined> {
  let stats: BigIntStats | undefined
  try {
    stats = await lstat(path, { bigint: true })
  } catch (error) {
    // It vanished since the directory was read.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
  if (stats.isSymbolicLink()) stats = await root.stat(key)
  return stats?.isFile() ? toObjectInfo(key, stats) : undefined
}

async function holdsObject(
  root: StoreRoot,
  folder: Entry,
  links: readonly string[],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  signal?.throwIfAborted()
  if (await holdsFile(folder)) return true
  for (const entry of await entriesOf(root, folder)) {
    if (!isFolder(entry)) return true
    if (entersCycle(entry, links)) continue
    if (await holdsObject(root, entry, deeper(entry, links), signal)) return true
  }
  return false
}

/** The quick look: a folder of a million blobs need not be read whole to see that it has one. */
async function holdsFile({ key, path }: Entry): Promise<boolean> {
  const directory = await opendir(path).catch(ignoring('ENOENT', 'ENOTDIR'))
  if (directory === undefined) return false
  for await (const dirent of directory) {
    if (dirent.isFile() && isComponent(dirent.name) && !isHidden(key + dirent.name)) return true
  }
  return false
}

function isFolder({ key }: Entry): boolean {
  return key.endsWith('/')
}

/** A link to a folder that this walk went through by a link already. */
function entersCycle({ real }: Entry, links: readonly string[]): boolean {
  return real !== undefined && links.includes(real)
}

function deeper({ real }: Entry, links: readonly string[]): readonly string[] {
  return real === undefined ? links : [...links, real]
}
