import { type Dirent, lstatSync, opendirSync, readdirSync } from 'node:fs'
import { join, sep } from 'node:path'
import type { ObjectInfo } from '@s3lo/core/plugin'
import { ignoring, toLocalError, unlessMissing } from './errors.ts'
import { compareKeys, isComponent, isHidden, splitPrefix } from './key-path.ts'
import { NameList } from './name-list.ts'
import { toObjectInfo } from './object-info.ts'
import { Slice } from './slice.ts'
import { ATTEMPTS, type StoreRoot } from './store-root.ts'

/** How many names are read from a directory at once; the room for them lives until it is collected. */
const READ_AT_ONCE = 64

/**
 * A directory of this size or less has few entries, and is read in one call. Shares of Windows and
 * mounted buckets give their directories no size, which says nothing.
 */
const SMALL_DIRECTORY_BYTES = 64 * 1024

/** How many files of one folder are given at once. */
const RUN_LENGTH = 64

/** What is wanted of a listing. */
export interface ListFilter {
  readonly prefix: string
  readonly startAfter?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** A folder in the store. */
interface Folder {
  /** Ends in a slash, but for the root's, which is empty. */
  readonly key: string
  readonly path: string
  /** The real paths of the folders on the way here that were reached through a link, and the root's. */
  readonly links: readonly string[]
}

/** Wanted files of one folder that follow each other in key order. */
interface Run {
  readonly folder: Folder
  readonly names: readonly string[]
}

/**
 * Every object that the filter wants, in key order, with the names of one directory at a time in
 * memory on each level. Folders that can hold no wanted key are not opened. Throws `NOT_FOUND` without a root.
 */
export async function* listObjects(
  root: StoreRoot,
  filter: ListFilter,
): AsyncGenerator<ObjectInfo, void> {
  try {
    for await (const { folder, names } of new Walk(root, filter).runs()) {
      const path = folder.path.endsWith(sep) ? folder.path : folder.path + sep
      for (const name of names) {
        filter.signal?.throwIfAborted()
        const info = infoOf(root, folder.key + name, path + name)
        if (info) yield info
      }
    }
  } catch (error) {
    throw toLocalError(error, root.name(filter.prefix))
  }
}

/** The keys of {@link listObjects}, without a look at each file. */
export async function* listKeys(root: StoreRoot, filter: ListFilter): AsyncGenerator<string, void> {
  try {
    for await (const { folder, names } of new Walk(root, filter).runs()) {
      for (const name of names) {
        filter.signal?.throwIfAborted()
        yield folder.key + name
      }
    }
  } catch (error) {
    throw toLocalError(error, root.name(filter.prefix))
  }
}

/** The folders just below the prefix that hold an object, in key order. */
export async function* listFolders(
  root: StoreRoot,
  filter: ListFilter,
): AsyncGenerator<string, void> {
  yield* new Walk(root, filter).folders()
}

/** A folder that is being walked through. */
interface Level {
  readonly folder: Folder
  /** In key order: a folder sorts as its name with the slash. */
  readonly names: Iterator<string, void>
  /** The real paths of folders that are reached through a link, by name. */
  readonly links: ReadonlyMap<string, string>
}

class Walk {
  readonly #root: StoreRoot
  readonly #filter: ListFilter
  readonly #slice: Slice

  constructor(root: StoreRoot, filter: ListFilter) {
    this.#root = root
    this.#filter = filter
    this.#slice = new Slice(filter.signal)
  }

  async *runs(): AsyncGenerator<Run, void> {
    const top = this.#start()
    const levels = top ? [await this.#open(top, (key) => isWanted(key, this.#filter))] : []
    for (let level = levels.at(-1); level; level = levels.at(-1)) {
      const { files, subfolder } = nextRun(level)
      if (files.length > 0) {
        yield { folder: level.folder, names: files }
        await this.#slice.spend(files.length)
      }
      if (subfolder !== undefined) {
        const folder = enter(level, subfolder)
        if (folder) levels.push(await this.#open(folder, (key) => isWanted(key, this.#filter)))
      } else if (files.length < RUN_LENGTH) {
        levels.pop()
      }
    }
    this.#filter.signal?.throwIfAborted()
  }

  async *folders(): AsyncGenerator<string, void> {
    const { prefix } = this.#filter
    const top = this.#start()
    if (!top) return
    const level = await this.#open(top, (key) => key.endsWith('/') && key.startsWith(prefix))
    for (let name = level.names.next(); !name.done; name = level.names.next()) {
      const folder = enter(level, name.value)
      if (folder && (await this.#holdsObject(folder))) yield folder.key
    }
  }

  /** The folder that the listing starts at; `undefined` where there is none. */
  #start(): Folder | undefined {
    this.#filter.signal?.throwIfAborted()
    const { folder: key } = splitPrefix(this.#filter.prefix)
    const links = [this.#root.real()]
    const path = join(this.#root.path, key)
    return this.#root.resolveInside(path, key) === undefined ? undefined : { key, path, links }
  }

  async #open(folder: Folder, isWanted: (key: string) => boolean): Promise<Level> {
    const names = new NameList()
    const links = new Map<string, string>()
    await this.#read(folder, (dirent) => {
      const kind = kindOf(dirent) ?? kindOfLink(this.#root, folder, dirent)
      if (kind === undefined) return
      const name = kind === 'file' ? dirent.name : `${dirent.name}/`
      const key = folder.key + name
      if (isHidden(key) || !isWanted(key)) return
      names.add(name)
      if (typeof kind === 'object') links.set(name, kind.real)
    })
    return { folder, names: names.sorted()[Symbol.iterator](), links }
  }

  /** Gives each entry of a directory to `visit`, until that returns true. A missing one has none. */
  async #read({ path }: Folder, visit: (dirent: Dirent) => boolean | void): Promise<void> {
    const stats = unlessMissing(() => lstatSync(path))
    if (!stats) return
    if (stats.isDirectory() && stats.size > 0 && stats.size <= SMALL_DIRECTORY_BYTES) {
      const entries = entriesOf(path)
      entries.some(visit)
      await this.#slice.spend(1 + entries.length)
      return
    }
    const directory = unlessMissing(() => opendirSync(path, { bufferSize: READ_AT_ONCE }))
    try {
      for (let dirent = directory?.readSync(); dirent; dirent = directory?.readSync()) {
        if (visit(dirent)) return
        await this.#slice.spend(1)
      }
    } finally {
      directory?.closeSync()
    }
  }

  async #holdsObject(folder: Folder): Promise<boolean> {
    // The quick look: a folder of a million blobs need not be read whole to see that it has one.
    let hasFile = false
    await this.#read(folder, (dirent) => {
      hasFile = kindOf(dirent) === 'file' && !isHidden(folder.key + dirent.name)
      return hasFile
    })
    if (hasFile) return true
    const level = await this.#open(folder, () => true)
    for (let name = level.names.next(); !name.done; name = level.names.next()) {
      if (!name.value.endsWith('/')) return true
      const subfolder = enter(level, name.value)
      if (subfolder && (await this.#holdsObject(subfolder))) return true
    }
    return false
  }
}

/**
 * The entries of a directory; none where it is missing. On a file system that does not tell their
 * kinds, Node looks at each of them, and says ENOENT of the whole directory when one was just deleted.
 */
function entriesOf(path: string): readonly Dirent[] {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return readdirSync(path, { withFileTypes: true })
    } catch (error) {
      ignoring('ENOENT', 'ENOTDIR')(error)
      if (!unlessMissing(() => lstatSync(path))?.isDirectory()) return []
      if (attempt === ATTEMPTS) throw error
    }
  }
}

/** The next files of a level, and the folder that follows them, or neither at its end. */
function nextRun({ names }: Level): { readonly files: string[]; readonly subfolder?: string } {
  const files: string[] = []
  while (files.length < RUN_LENGTH) {
    const next = names.next()
    if (next.done) break
    if (next.value.endsWith('/')) return { files, subfolder: next.value }
    files.push(next.value)
  }
  return { files }
}

/** The folder of that name; `undefined` for a link to one that the walk is in already. */
function enter({ folder, links }: Level, name: string): Folder | undefined {
  const real = links.get(name)
  if (real !== undefined && folder.links.includes(real)) return undefined
  return {
    key: folder.key + name,
    path: join(folder.path, name.slice(0, -1)),
    links: real === undefined ? folder.links : [...folder.links, real],
  }
}

function isWanted(key: string, { prefix, startAfter }: ListFilter): boolean {
  // A folder is worth opening when it lies below the prefix; the walk starts at the prefix's own.
  if (!key.startsWith(prefix)) return false
  if (startAfter === undefined || compareKeys(key, startAfter) > 0) return true
  return key.endsWith('/') && startAfter.startsWith(key)
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

function kindOfLink(root: StoreRoot, folder: Folder, dirent: Dirent): Kind | undefined {
  if (!dirent.isSymbolicLink() || !isComponent(dirent.name)) return undefined
  // A link that leads out of the store is FORBIDDEN, not missing: the collector must know that it
  // does not see everything.
  const path = join(folder.path, dirent.name)
  const real = root.resolveInside(path, folder.key + dirent.name)
  const stats = real === undefined ? undefined : unlessMissing(() => lstatSync(real))
  if (real === undefined || stats === undefined) return undefined
  if (stats.isDirectory()) return { real }
  return stats.isFile() ? 'file' : undefined
}

/** `undefined` for what vanished since the directory was read. */
function infoOf(root: StoreRoot, key: string, path: string): ObjectInfo | undefined {
  let stats = unlessMissing(() => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
  if (stats?.isSymbolicLink()) stats = root.stat(key)
  return stats?.isFile() ? toObjectInfo(key, stats) : undefined
}
