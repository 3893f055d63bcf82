import {
  asObject,
  asSize,
  asString,
  type CallOptions,
  isS3loError,
  optional,
  parseJson,
  S3loError,
  type StorageBackend,
} from '@s3lo/core/plugin'
import {
  ambiguousDigest,
  type Descriptor,
  isDigest,
  parseDigest,
  readAll,
  SOCI_ARTIFACTS_PREFIX,
} from '@s3lo/core'
import { isSociIndexType } from '../index/soci-index.ts'

/** What kind of artifact an entry is about. */
export type ArtifactEntryType = 'soci_index' | 'soci_layer' | 'soci_prefetch'

/** An entry about a SOCI index. */
export const artifactEntryTypeIndex = 'soci_index' satisfies ArtifactEntryType

/** An entry about a zTOC. */
export const artifactEntryTypeLayer = 'soci_layer' satisfies ArtifactEntryType

/** An entry about a list of spans to fetch first. */
export const artifactEntryTypePrefetch = 'soci_prefetch' satisfies ArtifactEntryType

/** What is known of one SOCI artifact. */
export interface ArtifactEntry {
  /** Bytes. */
  readonly size: number
  readonly digest: string
  /** What it was made for: the image's manifest for an index, the layer for a zTOC. */
  readonly originalDigest: string
  /** The image that was asked for: the OCI index of a multi-platform one; empty for a zTOC. */
  readonly imageDigest: string
  /** `os/arch[/variant]`, of an index only. */
  readonly platform: string
  /** Whose image an index was made for; empty where it is not known, and for a zTOC. */
  readonly repository: string
  readonly location: string
  readonly type: ArtifactEntryType
  readonly mediaType: string
  /** The type of an index; empty for a zTOC. */
  readonly artifactType: string
  readonly createdAt: Date
  /** Of a zTOC; 0 where it is not known. */
  readonly spanSize: number
  /** What built a zTOC; empty where it is not known. */
  readonly buildToolIdentifier: string
}

/** Nothing was ever recorded in the store. */
export class ArtifactStoreEmptyError extends S3loError {
  constructor() {
    super('NOT_FOUND', 'the store has no record of SOCI artifacts', {
      hint: 's3lo soci rebuild records those that are in the store',
    })
  }
}

/** An artifact is not an index, where one is asked for. */
export class NotAnIndexError extends S3loError {
  constructor(digest: string) {
    super('USAGE', `artifact ${digest} is not a SOCI index`)
  }
}

/** The prefix of the keys of all records, below `root` (empty, or ending in `/`). */
export function artifactsDbPath(root = ''): string {
  return `${root}${SOCI_ARTIFACTS_PREFIX}`
}

/** The largest record (bytes). */
const MAX_ENTRY_BYTES = 64 * 1024

/**
 * What SOCI artifacts there are, kept in the store itself: one object per artifact, so that every
 * machine shares them and writers never overwrite each other's. It can be rebuilt from the store.
 */
export class ArtifactsDb {
  readonly #backend: StorageBackend
  readonly #prefix: string

  constructor(backend: StorageBackend, prefix: string = artifactsDbPath()) {
    this.#backend = backend
    this.#prefix = prefix
  }

  /** Records an artifact; what was recorded under its digest is replaced. */
  async writeArtifactEntry(entry: ArtifactEntry, options: CallOptions = {}): Promise<void> {
    const content = Buffer.from(JSON.stringify(entry))
    await this.#backend.put(this.#key(entry.digest), content, {
      ...options,
      size: content.byteLength,
      mediaType: 'application/json',
    })
  }

  /** The record of an artifact. Throws `NOT_FOUND`, as {@link ArtifactStoreEmptyError} when there is none at all. */
  async getArtifactEntry(digest: string, options?: CallOptions): Promise<ArtifactEntry> {
    const entry = await this.find(digest, options)
    if (entry) return entry
    await this.#refuseEmpty(options)
    throw notRecorded(digest)
  }

  /** The record of an artifact, or `undefined`. */
  async find(digest: string, options?: CallOptions): Promise<ArtifactEntry | undefined> {
    return this.#read(this.#key(digest), options)
  }

  /**
   * The whole digest of a recorded artifact, of its beginning: one listing. Throws `NOT_FOUND`, and
   * `INVALID_REFERENCE` where several begin so.
   */
  async expandDigest(start: string, options?: CallOptions): Promise<string> {
    const prefix = `${this.#prefix}${start.replace(':', '-')}`
    const found = new Set<string>()
    for await (const { key } of this.#backend.list(prefix, options)) {
      const digest = key
        .slice(this.#prefix.length)
        .replace('-', ':')
        .replace(/\.json$/, '')
      if (isDigest(digest)) found.add(digest)
      if (found.size > MAX_CANDIDATES) break
    }
    const [only] = found
    if (only === undefined) throw notRecorded(start)
    if (found.size > 1) throw ambiguousDigest(`SOCI artifact ${start}`, found)
    return only
  }

  /** The kind of an artifact. Throws as {@link getArtifactEntry}. */
  async getArtifactType(digest: string, options?: CallOptions): Promise<ArtifactEntryType> {
    return (await this.getArtifactEntry(digest, options)).type
  }

  /** Every record, in the order of the digests; damaged ones are left out, and `s3lo doctor` names them. */
  async *entries(options?: CallOptions): AsyncGenerator<ArtifactEntry> {
    for await (const { key } of this.#backend.list(this.#prefix, options)) {
      const entry = await this.#readSound(key, options)
      if (entry) yield entry
    }
  }

  /**
   * Visits every record in the order of the digests, until `visit` returns false. Throws
   * {@link ArtifactStoreEmptyError}.
   */
  async walk(
    visit: (entry: ArtifactEntry) => boolean | void | Promise<boolean | void>,
    options?: CallOptions,
  ): Promise<void> {
    await this.#refuseEmpty(options)
    for await (const entry of this.entries(options)) {
      if ((await visit(entry)) === false) return
    }
  }

  /** The digests of the indexes made of an image. Throws {@link ArtifactStoreEmptyError}. */
  async getArtifactEntriesByImageDigest(
    imageDigest: string,
    options?: CallOptions,
  ): Promise<readonly string[]> {
    await this.#refuseEmpty(options)
    const digests: string[] = []
    for await (const entry of this.entries(options)) {
      if (entry.type === artifactEntryTypeIndex && entry.imageDigest === imageDigest) {
        digests.push(entry.digest)
      }
    }
    return digests
  }

  /** The indexes made of an image's manifest. */
  async getIndexEntries(
    manifestDigest: string,
    options?: CallOptions,
  ): Promise<readonly ArtifactEntry[]> {
    const found: ArtifactEntry[] = []
    for await (const entry of this.entries(options)) {
      if (entry.type === artifactEntryTypeIndex && entry.originalDigest === manifestDigest)
        found.push(entry)
    }
    return found
  }

  /** Which zTOCs there are, each by {@link ztocKey}: read once for an image, not once for a layer. */
  async getZtocEntries(options?: CallOptions): Promise<ReadonlyMap<string, ArtifactEntry>> {
    const found = new Map<string, ArtifactEntry>()
    for await (const entry of this.entries(options)) {
      if (entry.type === artifactEntryTypeLayer) found.set(ztocKey(entry), entry)
    }
    return found
  }

  /**
   * Forgets an index; its zTOCs may belong to others and stay. Throws `NOT_FOUND`,
   * {@link ArtifactStoreEmptyError} or {@link NotAnIndexError}.
   */
  async removeArtifactEntryByIndexDigest(digest: string, options?: CallOptions): Promise<void> {
    const entry = await this.getArtifactEntry(digest, options)
    if (entry.type !== 'soci_index') throw new NotAnIndexError(digest)
    await this.forget([digest], options)
  }

  /**
   * Forgets every artifact whose content `exists` denies, and returns their digests. Throws
   * {@link ArtifactStoreEmptyError}.
   */
  async removeOldArtifacts(
    exists: (artifact: Descriptor) => Promise<boolean>,
    options?: CallOptions,
  ): Promise<readonly string[]> {
    await this.#refuseEmpty(options)
    const gone: string[] = []
    for await (const { mediaType, digest, size } of this.entries(options)) {
      if (!(await exists({ mediaType, digest, size }))) gone.push(digest)
    }
    await this.forget(gone, options)
    return gone
  }

  /** Removes records; those that are not there count as removed. */
  async forget(digests: readonly string[], options?: CallOptions): Promise<void> {
    if (digests.length === 0) return
    const keys = digests.map((digest) => this.#key(digest))
    const [failure] = await this.#backend.delete(keys, options)
    if (failure) throw failure.error
  }

  async #refuseEmpty(options?: CallOptions): Promise<void> {
    for await (const _ of this.#backend.list(this.#prefix, options)) return
    throw new ArtifactStoreEmptyError()
  }

  #key(digest: string): string {
    const { algorithm, hex } = parseDigest(digest)
    return `${this.#prefix}${algorithm}-${hex}.json`
  }

  /** A damaged record is as good as none, and stops no other. */
  async #readSound(key: string, options?: CallOptions): Promise<ArtifactEntry | undefined> {
    try {
      return await this.#read(key, options)
    } catch (error) {
      if (isS3loError(error, 'INTEGRITY')) return undefined
      throw error
    }
  }

  async #read(key: string, options?: CallOptions): Promise<ArtifactEntry | undefined> {
    try {
      const { body } = await this.#backend.get(key, options)
      return parseEntry(await readAll(body, MAX_ENTRY_BYTES, key), key)
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }
}

/** More than an error lists. */
const MAX_CANDIDATES = 10

function notRecorded(digest: string): S3loError {
  return new S3loError('NOT_FOUND', `SOCI artifact ${digest} is not recorded in the store`)
}

/** What makes a zTOC fit for use again: the same layer, span size and builder. */
export function ztocKey(
  entry: Pick<ArtifactEntry, 'originalDigest' | 'spanSize' | 'buildToolIdentifier'>,
): string {
  return JSON.stringify([entry.originalDigest, entry.spanSize, entry.buildToolIdentifier])
}

const TYPES: readonly ArtifactEntryType[] = [
  artifactEntryTypeIndex,
  artifactEntryTypeLayer,
  artifactEntryTypePrefetch,
]

function parseEntry(content: Uint8Array, key: string): ArtifactEntry {
  const path = `record ${key}`
  const object = asObject(parseJson(content, path), path)
  const text = (name: string): string => optional(object, name, path, asString) ?? ''
  const number = (name: string): number => optional(object, name, path, asSize) ?? 0
  const type = TYPES.find((known) => known === object['type'])
  const digest = text('digest')
  if (!type || !isDigest(digest)) throw new S3loError('INTEGRITY', `${path} is malformed`)
  const createdAt = new Date(text('createdAt') || 0)
  if (Number.isNaN(createdAt.getTime())) throw new S3loError('INTEGRITY', `${path} has no date`)
  const artifactType = text('artifactType')
  if (type === artifactEntryTypeIndex && !isSociIndexType(artifactType)) {
    throw new S3loError('INTEGRITY', `${path} is of an unknown type of index`)
  }
  return {
    type,
    digest,
    artifactType,
    createdAt,
    size: number('size'),
    spanSize: number('spanSize'),
    originalDigest: text('originalDigest'),
    imageDigest: text('imageDigest'),
    platform: text('platform'),
    repository: text('repository'),
    location: text('location'),
    mediaType: text('mediaType'),
    buildToolIdentifier: text('buildToolIdentifier'),
  }
}
