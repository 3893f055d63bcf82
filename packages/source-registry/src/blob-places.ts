import { isDigest } from '@s3lo/core'
import type { CacheFile } from '@s3lo/core/plugin'
import { isRepository } from './registry-name.ts'

/** Repositories that are kept for each blob. */
const MOST_REPOSITORIES = 2
/** Blobs that are kept, those of the longest time ago being forgotten first. */
const MOST_BLOBS = 4000
/** Bytes of the file of so many blobs, with repositories of any name. */
export const MAX_PLACES_BYTES = 4 * 1024 * 1024

/**
 * Which repositories of registries were seen to have a blob, so that it is mounted from there in place
 * of being sent. It is kept in the user's cache. All of it is a guess: blobs are deleted, and rights
 * are taken away; a wrong one costs the registry's answer to it.
 */
export class BlobPlaces {
  readonly #file: CacheFile | undefined
  /** By registry and digest; the last repository is the newest. */
  readonly #places = new Map<string, readonly string[]>()
  #loading: Promise<void> | undefined
  #isChanged = false

  /** Without a file, they are kept in memory alone. */
  constructor(file?: CacheFile) {
    this.#file = file
  }

  /** A repository of the registry that may have the blob, other than `except`. */
  async find(registry: string, digest: string, except: string): Promise<string | undefined> {
    await (this.#loading ??= this.#load())
    return this.#places.get(keyOf(registry, digest))?.findLast((one) => one !== except)
  }

  /** Notes that the repository has the blob. */
  note(registry: string, digest: string, repository: string): void {
    const key = keyOf(registry, digest)
    const known = this.#places.get(key) ?? []
    if (known.at(-1) === repository) return
    this.#set(key, [...known.filter((one) => one !== repository), repository])
  }

  /** Notes that the repository did not have the blob. */
  forget(registry: string, digest: string, repository: string): void {
    const key = keyOf(registry, digest)
    this.#set(
      key,
      (this.#places.get(key) ?? []).filter((one) => one !== repository),
    )
  }

  /** Keeps what was noted for other processes. Never throws. */
  async save(): Promise<void> {
    if (!this.#isChanged) return
    this.#isChanged = false
    // Other processes may have written meanwhile.
    await this.#load()
    await this.#file?.write([...this.#places].filter(([, repositories]) => repositories.length > 0))
  }

  /** Takes over what the file has; what this process has seen itself comes last. */
  async #load(): Promise<void> {
    const document = await this.#file?.read()
    if (!Array.isArray(document)) return
    const own = [...this.#places]
    this.#places.clear()
    for (const entry of document.slice(-MOST_BLOBS)) if (isEntry(entry)) this.#places.set(...entry)
    for (const [key, repositories] of own) this.#put(key, repositories)
  }

  #set(key: string, repositories: readonly string[]): void {
    this.#isChanged = true
    this.#put(key, repositories)
  }

  #put(key: string, repositories: readonly string[]): void {
    this.#places.delete(key)
    this.#places.set(key, repositories.slice(-MOST_REPOSITORIES))
    const [oldest] = this.#places.keys()
    if (this.#places.size > MOST_BLOBS && oldest !== undefined) this.#places.delete(oldest)
  }
}

function keyOf(registry: string, digest: string): string {
  return `${registry} ${digest}`
}

/** True for a blob and its repositories, as a file may have them. */
function isEntry(value: unknown): value is [string, readonly string[]] {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [key, repositories] = value as readonly unknown[]
  if (typeof key !== 'string' || key.length > 600 || !isDigest(key.split(' ')[1] ?? ''))
    return false
  return (
    Array.isArray(repositories) &&
    repositories.length <= MOST_REPOSITORIES &&
    repositories.every((one) => typeof one === 'string' && isRepository(one))
  )
}
