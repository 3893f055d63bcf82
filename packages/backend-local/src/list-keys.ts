import type { BigIntStats, Dirent } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectInfo } from '@s3lo/core/plugin'
import { errnoOf, ignoring } from './errors.ts'
import { compareKeys, isComponent, isHidden, splitPrefix } from './key-path.ts'
import { NameList } from './name-list.ts'
import { toObjectInfo } from './object-info.ts'
import type { StoreRoot } from './store-root.ts'

/** How many files are looked at ahead of the reader. */
const AHEAD = 64

/** How many names are read from a directory at once; the room for them lives until it is collected. */
const READ_AT_ONCE = 64

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
  readonly real?: string | undefined
}

/**
 * Every object that the filter wants, in key order, with the names of one directory at a time in
 * memory on each level. Folders that can hold no wanted key are not opened. Throws `NOT_FOUND` without a root.
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
  let files: Entry[] = []
  for (const entry of await entriesOf(root, folder, (key) => isWanted(key, filter))) {
    if (!isFolder(entry)) {
      files.push(entry)
      if (files.length < AHEAD) continue
    }
    yield* infosOf(root, files, filter)
    files = []
    if (isFolder(entry) && !entersCycle(entry, links)) {
      yield* walk(root, entry, filter, deeper(entry, links))
    }
  }
  yield* infosOf(root, files, filter)
  filter.signal?.throwIfAborted()
}

async function* infosOf(
  root: StoreRoot,
  files: readonly Entry[],
  { signal }: ListFilter,
): AsyncGenerator<ObjectInfo, void> {
  for (const info of await Promise.all(files.map((file) => infoOf(root, file)))) {
    signal?.throwIfAborted()
    if (info !== undefined) yield info
  }
}

function isWanted(key: string, { prefix, startAfter }: ListFilter): boolean {
  // A folder is worth opening when it lies below the prefix; the walk starts at the prefix's own.
  if (!key.startsWith(prefix)) return false
  if (startAfter === undefined || compareKeys(key, startAfter) > 0) return true
  return key.endsWith('/') && startAfter.startsWith(key)
}

/** The wanted entries of a folder in key order: a folder sorts as its name with the slash. */
async function entriesOf(
  root: StoreRoot,
  folder: Entry,
  wants: (key: string) => boolean = () => true,
): Promise<Iterable<Entry>> {
  const names = new NameList()
  const links = new Map<string, string>()
  const directory = await opendir(folder.path, { bufferSize: READ_AT_ONCE }).catch(
    ignoring('ENOENT', 'ENOTDIR'),
  )
  for await (const dirent of directory ?? []) {
    const kind = kindOf(dirent) ?? (await kindOfLink(root, folder, dirent))
    if (kind === undefined) continue
    const name = kind === 'file' ? dirent.name : `${dirent.name}/`
    const key = folder.key + name
    if (isHidden(key) || !wants(key)) continue
    names.add(name)
    if (typeof kind === 'object') links.set(name, kind.real)
  }
  return toEntries(folder, names, links)
}

function* toEntries(
  folder: Entry,
  names: NameList,
  links: ReadonlyMap<string, string>,
): Generator<Entry, void> {
  for (const name of names.sorted()) {
    const path = join(folder.path, name.endsWith('/') ? name.slice(0, -1) : name)
    yield { key: folder.key + name, path, real: links.get(name) }
  }
}

/** A folder behind a link has its real path. */
type Kind = 'file' | 'folder' | { readonly real: string }

/** `undefined` for what is no object and no folder, and for a link, which is asked where it leads. */
function kindOf(dirent: Dirent): Kind | undefined {
  // Nothing reads or deletes a key with another name, so it is not one.
  if (!isComponent(dirent.name)) return undefined
  if (dirent.isFile()) return 'file'
  return dirent.isDirectory() ? 'folder' : undefined
}

async function kindOfLink(
  root: StoreRoot,
  folder: Entry,
  dirent: Dirent,
): Promise<Kind | undefined> {
  if (!dirent.isSymbolicLink() || !isComponent(dirent.name)) return undefined
  // A link that leads out of the store is FORBIDDEN, not missing: who collects garbage must know
  // that it does not see everything.
  const path = join(folder.path, dirent.name)
  const real = await root.resolveInside(path, folder.key + dirent.name)
  const stats = real === undefined ? undefined : await lstat(real).catch(ignoring('ENOENT'))
  if (real === undefined || stats === undefined) return undefined
  if (stats.isDirectory()) return { real }
  return stats.isFile() ? 'file' : undefined
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
