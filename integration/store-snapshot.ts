/**
 * What a whole store holds at one moment, and what of it is alive. It is read with nothing of the code
 * that deletes: keys and documents are taken apart here once more.
 */
import { createHash } from 'node:crypto'
import type { ObjectInfo, StorageBackend } from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import { formsOf, recordOf } from './deleted-object.ts'

/** A manifest that is a tag or has a record. */
export interface Root {
  readonly kind: 'tag' | 'record'
  /** `app:v1` or `app@sha256:…`. */
  readonly label: string
  readonly key: string
  readonly repository: string
  /** By its store, milliseconds since 1970. */
  readonly written: number
  /** Its digest under each algorithm. */
  readonly digests: readonly string[]
  /** Digests of the manifests that it reaches, itself included. */
  readonly manifests: ReadonlySet<string>
  /** Digests of all content that it needs. */
  readonly content: ReadonlySet<string>
  readonly subject?: string
}

/** What a manifest names. */
interface Named {
  readonly digests: readonly string[]
  readonly blobs: readonly string[]
  readonly manifests: readonly string[]
  readonly subject?: string
}

const TAG = /^manifests\/(.+)\/([^/]+)\/manifest\.json$/
const RECORD = /^\.s3lo\/repositories\/(.+)\/_manifests\/(\w+)-([0-9a-f]+)\.json$/
const RECIPE = /^\.s3lo\/recipes\/sha256\/[0-9a-f]+$/

/** What was read of a store, for the next snapshot of it: by key and ETag. */
export type SnapshotMemory = Map<string, Uint8Array>

export class StoreSnapshot {
  readonly objects: ReadonlyMap<string, ObjectInfo>
  readonly roots: readonly Root[]
  /** Keys of the chunks that recipes name. */
  readonly chunks: ReadonlySet<string>

  private constructor(
    objects: ReadonlyMap<string, ObjectInfo>,
    roots: readonly Root[],
    chunks: ReadonlySet<string>,
  ) {
    this.objects = objects
    this.roots = roots
    this.chunks = chunks
  }

  /** What goes or changes while it is read is left out. */
  static async read(
    backend: StorageBackend,
    memory: SnapshotMemory = new Map(),
  ): Promise<StoreSnapshot> {
    const objects = new Map<string, ObjectInfo>()
    for await (const info of backend.list('')) objects.set(info.key, info)
    const reader = new Reader(backend, objects, memory)
    const roots: Root[] = []
    const chunks = new Set<string>()
    for (const info of objects.values()) {
      const root = await reader.root(info)
      if (root) roots.push(root)
      if (RECIPE.test(info.key)) for (const key of await reader.chunks(info.key)) chunks.add(key)
    }
    return new StoreSnapshot(objects, roots, chunks)
  }

  rootsOf(repository: string): readonly Root[] {
    return this.roots.filter((root) => root.repository === repository)
  }

  tagOf(key: string): Root | undefined {
    return this.roots.find((root) => root.kind === 'tag' && root.key === key)
  }

  /** What roots and recipes need and is not there. */
  lost(): readonly string[] {
    const lost = [...this.chunks].filter((key) => !this.objects.has(key))
    for (const { label, repository, content } of this.roots) {
      for (const digest of content) {
        const keys = [...formsOf(digest), recordOf(repository, digest)]
        if (!keys.some((key) => this.objects.has(key))) lost.push(`${label} lacks ${digest}`)
      }
    }
    return lost
  }

  /** The root that needs a blob, a layer or a manifest below it. */
  holderOf(digest: string): Root | undefined {
    return this.roots.find(({ content }) => content.has(digest))
  }
}

class Reader {
  readonly #backend: StorageBackend
  readonly #objects: ReadonlyMap<string, ObjectInfo>
  readonly #memory: SnapshotMemory

  constructor(
    backend: StorageBackend,
    objects: ReadonlyMap<string, ObjectInfo>,
    memory: SnapshotMemory,
  ) {
    this.#backend = backend
    this.#objects = objects
    this.#memory = memory
  }

  async root({ key, lastModified }: ObjectInfo): Promise<Root | undefined> {
    const [, ofTag, tag] = TAG.exec(key) ?? []
    const [, ofRecord, algorithm, hex] = RECORD.exec(key) ?? []
    const repository = ofTag ?? ofRecord
    const named = repository === undefined ? undefined : await this.#manifest(key)
    if (repository === undefined || !named) return undefined
    const kind = tag === undefined ? 'record' : 'tag'
    // Its own bytes are here: a blob of its digest is no more than a copy.
    const content = new Set<string>()
    const manifests = new Set<string>()
    await this.#walk(repository, named, { manifests, content })
    const label = tag === undefined ? `${repository}@${algorithm}:${hex}` : `${repository}:${tag}`
    const { digests, subject } = named
    const written = lastModified.getTime()
    const root = { kind, label, key, repository, written, digests, manifests, content } as const
    return subject === undefined ? root : { ...root, subject }
  }

  /** Keys of the chunks that a recipe names. */
  async chunks(key: string): Promise<readonly string[]> {
    const content = await this.#read(key)
    if (!content) return []
    const { chunks } = JSON.parse(Buffer.from(content).toString()) as {
      readonly chunks: readonly { readonly raw: string; readonly frame: string }[]
    }
    return chunks.map(({ raw, frame }) => `.s3lo/chunks/sha256/${raw}-${frame}`)
  }

  async #walk(
    repository: string,
    { digests, blobs, manifests }: Named,
    reached: { readonly manifests: Set<string>; readonly content: Set<string> },
  ): Promise<void> {
    for (const digest of digests) reached.manifests.add(digest)
    for (const digest of [...blobs, ...manifests]) reached.content.add(digest)
    for (const digest of manifests) {
      reached.manifests.add(digest)
      const keys = [...formsOf(digest), recordOf(repository, digest)]
      const key = keys.find((each) => this.#objects.has(each))
      const child = key === undefined ? undefined : await this.#manifest(key)
      if (child) await this.#walk(repository, child, reached)
    }
  }

  async #manifest(key: string): Promise<Named | undefined> {
    const content = await this.#read(key)
    if (!content) return undefined
    const document = JSON.parse(Buffer.from(content).toString()) as ManifestJson
    const { config, layers = [], manifests = [], subject } = document
    const blobs = [...(config ? [config] : []), ...layers]
    return {
      digests: digestsOf(content),
      blobs: blobs.map(({ digest }) => digest),
      manifests: manifests.map(({ digest }) => digest),
      ...(subject && { subject: subject.digest }),
    }
  }

  async #read(key: string): Promise<Uint8Array | undefined> {
    const name = `${key} ${this.#objects.get(key)?.etag}`
    const known = this.#memory.get(name)
    if (known) return known
    const version = await readVersion(this.#backend, key)
    // Written anew since it was listed: its date is another one.
    if (!version || name !== `${key} ${version.etag}`) return undefined
    this.#memory.set(name, version.content)
    return version.content
  }
}

/** The digests of an object under each algorithm; `undefined` where it is gone or changes meanwhile. */
export async function readDigests(
  backend: StorageBackend,
  key: string,
): Promise<readonly string[] | undefined> {
  const version = await readVersion(backend, key)
  return version && digestsOf(version.content)
}

async function readVersion(
  backend: StorageBackend,
  key: string,
): Promise<{ readonly etag: string; readonly content: Uint8Array } | undefined> {
  try {
    const { body, info } = await backend.get(key)
    return { etag: info.etag, content: Buffer.concat(await body.toArray()) }
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND') || isS3loError(error, 'CONFLICT')) return undefined
    throw error
  }
}

function digestsOf(content: Uint8Array): readonly string[] {
  return (['sha256', 'sha512'] as const).map(
    (algorithm) => `${algorithm}:${createHash(algorithm).update(content).digest('hex')}`,
  )
}

interface NamedJson {
  readonly digest: string
}

interface ManifestJson {
  readonly config?: NamedJson
  readonly layers?: readonly NamedJson[]
  readonly manifests?: readonly NamedJson[]
  readonly subject?: NamedJson
}
