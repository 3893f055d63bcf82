import type { CallOptions } from '../contract/call-options.ts'
import type { ListOptions, ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { MANIFEST_FILE, MANIFESTS_PREFIX } from '../layout/keys.ts'
import { listKeys } from './list-keys.ts'

/** So many keys that are no tag's manifest are read before the listing begins anew behind them. */
const JUMP_AFTER = 1000

/** A tag of a repository, with what its manifest is listed as. */
interface Found<T> {
  readonly tag: string
  readonly entry: T
}

export interface RepositoryTagsOptions extends CallOptions {
  /** Only tags after this one. */
  readonly after?: string | undefined
}

/**
 * The tags of layout v1.1.0 of one repository, in the order of their keys, and what publishes each.
 * It is one listing, which proves each tag by its manifest. What is nested (`app/web` in `app`) is
 * listed as well, but a folder with more than a page of it is jumped over, at the cost of two requests.
 */
export function readRepositoryTags(
  backend: StorageBackend,
  repository: string,
  options: RepositoryTagsOptions = {},
): AsyncGenerator<Found<ObjectInfo>, void> {
  const list = backend.list.bind(backend)
  return readFolders(backend, repository, { list, keyOf: ({ key }) => key }, options)
}

/** As {@link readRepositoryTags}, names only, which cost less. */
export function readRepositoryTagNames(
  backend: StorageBackend,
  repository: string,
  options: RepositoryTagsOptions = {},
): AsyncGenerator<Found<string>, void> {
  const list = listKeys.bind(undefined, backend)
  return readFolders(backend, repository, { list, keyOf: (key) => key }, options)
}

interface Listing<T> {
  readonly list: (prefix: string, options: ListOptions) => AsyncIterable<T>
  readonly keyOf: (entry: T) => string
}

async function* readFolders<T>(
  { skipsByReading = false }: StorageBackend,
  repository: string,
  listing: Listing<T>,
  { after, signal }: RepositoryTagsOptions,
): AsyncGenerator<Found<T>, void> {
  const prefix = `${MANIFESTS_PREFIX}${repository}/`
  // A name that follows another has no key before this one.
  let startAfter = after ? prefix + after : undefined
  do {
    startAfter = yield* readUntilJump(prefix, listing, skipsByReading, { startAfter, signal })
  } while (startAfter !== undefined)
}

/** Returns what to start after where keys are to be jumped over. */
async function* readUntilJump<T>(
  prefix: string,
  { list, keyOf }: Listing<T>,
  skipsByReading: boolean,
  options: ListOptions,
): AsyncGenerator<Found<T>, string | undefined> {
  let folder = ''
  let passed = 0
  for await (const entry of list(prefix, options)) {
    const key = keyOf(entry)
    const slash = key.indexOf('/', prefix.length)
    if (slash < 0) continue
    const name = key.slice(prefix.length, slash)
    const file = key.slice(slash + 1)
    if (name !== folder) passed = 0
    folder = name
    if (file === MANIFEST_FILE) yield { tag: name, entry }
    else if (++passed > JUMP_AFTER && !skipsByReading) {
      const target = behind(prefix + name, file)
      if (target !== options.startAfter) return target
    }
  }
  return undefined
}

/** The folder's own manifest is not jumped over. */
function behind(folder: string, file: string): string {
  if (file < MANIFEST_FILE) return `${folder}/${MANIFEST_FILE.slice(0, -1)}`
  // The character after the slash: everything in the folder comes before it.
  return `${folder}0`
}
