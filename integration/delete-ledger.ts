/**
 * A double around a store that enters each object that is deleted in a ledger, by its kind and by who deletes
 * it, and judges it against the whole store as it is at that moment: nothing alive reaches it, or
 * it is what a user has asked for.
 */
import type { ObjectInfo, StorageBackend } from '@s3lo/core'
import { FaultyBackend } from '@s3lo/core/testing'
import {
  type Deleted,
  formsOf,
  isControl,
  isTag,
  markOf,
  markOfEvent,
  recordOf,
  repositoryOf,
  toDeleted,
} from './deleted-object.ts'
import { readDigests, type Root, type SnapshotMemory, StoreSnapshot } from './store-snapshot.ts'

/** What a user has asked for. */
interface Asked {
  readonly repository: string
  /** A tag that is to go. */
  readonly tag?: string
  /**
   * With a purge: the image's digest, and those of the manifests below it. All tags of the first go.
   * `unknown`: the image that the tag names at that moment.
   */
  readonly purged?: readonly string[] | 'unknown'
  /** A blob that is not to be the repository's any more. */
  readonly blob?: string
}

/** Who deletes. `since`: when it began, milliseconds since 1970 by the store. */
export type Actor = { readonly since: number } & (
  | { readonly kind: 'collector' }
  /** Deletes nothing but what it has written itself. */
  | { readonly kind: 'writer' }
  | { readonly kind: 'user'; readonly asked: Asked }
)

/** How long things live (milliseconds), margins included. */
export interface Lifetimes {
  readonly record: (repository: string) => number
  /** After its end. */
  readonly link: number
  readonly abandoned: number
  /**
   * Others work at the same time: a tag may be moved right before it is deleted. Its image then has the record
   * that the move has written, of any age that a stopped mover gives it.
   */
  readonly isShared?: boolean
  /** The newest tags of a repository that no rule drops; `undefined` where there is no rule. */
  readonly keptTags?: (repository: string) => number | undefined
}

interface Look {
  readonly store: StoreSnapshot
  readonly actor: Actor
  readonly now: number
  /** All keys of this delete. */
  readonly doomed: ReadonlySet<string>
  /**
   * For each tag that is deleted or moved: when the records of its image were written. They are looked up
   * after the tag was read, for what moves a tag writes them before it. Absent for a tag that changes meanwhile.
   */
  readonly recorded: ReadonlyMap<string, readonly number[]>
}

export class DeleteLedger {
  /** Objects that were deleted: `collector: record` and so on. */
  readonly counts = new Map<string, number>()
  /** Deletes of what was alive, or was not asked for. */
  readonly violations: string[] = []
  readonly #backend: StorageBackend
  readonly #lives: Lifetimes
  readonly #now: () => number
  readonly #memory: SnapshotMemory = new Map()
  /** Since when no tag reaches a manifest, by repository and digest. */
  readonly #untagged = new Map<string, number>()
  #tagged = new Set<string>()

  /** `backend` is the store itself; `now` is its clock. */
  constructor(backend: StorageBackend, lives: Lifetimes, now: () => number) {
    this.#backend = backend
    this.#lives = lives
    this.#now = now
  }

  /** The store as one sees it whose deletes are entered; `backend` may be a double of the ledger's. */
  through(actor: Actor, backend = this.#backend): StorageBackend {
    const watched = new FaultyBackend(backend)
    const remove = watched.delete.bind(watched)
    watched.delete = async (keys, options) => {
      if (keys.every(isControl)) return remove(keys, options)
      const look = await this.#look(actor, keys, new Set(keys))
      const failures = await remove(keys, options)
      const left = new Set(failures.map(({ key }) => key))
      for (const key of keys) if (!left.has(key)) this.#enter(key, look)
      return failures
    }
    const put = watched.put.bind(watched)
    watched.put = async (key, ...rest) => {
      const look = isTag(key) ? await this.#look(actor, [key], new Set()) : undefined
      const info = await put(key, ...rest)
      if (look) this.#enterMove(info, { ...look, now: this.#now() })
      return info
    }
    return watched
  }

  /** Remembers which manifests no tag reaches any more: to be called after everything that moves or deletes tags. */
  async observe(): Promise<void> {
    const { roots } = await this.#snapshot()
    const tagged = new Set(
      roots.flatMap(({ kind, repository, manifests }) =>
        kind === 'tag' ? [...manifests].map((digest) => `${repository} ${digest}`) : [],
      ),
    )
    for (const name of this.#tagged) if (!tagged.has(name)) this.#untagged.set(name, this.#now())
    for (const name of tagged) this.#untagged.delete(name)
    this.#tagged = tagged
  }

  /** What is needed and is not there. */
  async lost(): Promise<readonly string[]> {
    return (await this.#snapshot()).lost()
  }

  /** Of a purged image nothing is expected. */
  forget(repository: string, digests: readonly string[]): void {
    for (const digest of digests) this.#untagged.delete(`${repository} ${digest}`)
  }

  /** What was entered since it was asked last. */
  take(): { readonly deletes: Readonly<Record<string, number>>; readonly violations: string[] } {
    const deletes = Object.fromEntries(this.counts)
    this.counts.clear()
    return { deletes, violations: this.violations.splice(0) }
  }

  async #look(actor: Actor, keys: readonly string[], doomed: ReadonlySet<string>): Promise<Look> {
    const store = await this.#snapshot()
    const recorded = new Map<string, readonly number[]>()
    for (const key of keys.filter(isTag)) {
      const digests = await readDigests(this.#backend, key)
      if (digests) recorded.set(key, await this.#recordDates(repositoryOf(key), digests))
    }
    return { store, actor, now: this.#now(), doomed, recorded }
  }

  async #recordDates(repository: string, digests: readonly string[]): Promise<readonly number[]> {
    const dates: number[] = []
    for (const digest of digests) {
      const record = await this.#backend.head(recordOf(repository, digest))
      if (record) dates.push(record.lastModified.getTime())
    }
    return dates
  }

  #snapshot(): Promise<StoreSnapshot> {
    return StoreSnapshot.read(this.#backend, this.#memory)
  }

  /** A tag that names another manifest than before. */
  #enterMove({ key, etag }: ObjectInfo, look: Look): void {
    const before = look.store.objects.get(key)
    if (!before || before.etag === etag) return
    const reason = this.#lacksRecord(toDeleted(key, before.lastModified.getTime()), look)
    this.#note(`${look.actor.kind}: tag moved`, key, reason)
  }

  #enter(key: string, look: Look): void {
    const info = look.store.objects.get(key)
    // There was nothing to delete.
    if (!info || isControl(key)) return
    const deleted = toDeleted(key, info.lastModified.getTime())
    this.#note(`${look.actor.kind}: ${deleted.kind}`, key, this.#judge(deleted, look))
  }

  #note(name: string, key: string, reason: string | undefined): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
    if (reason !== undefined) this.violations.push(`${name} ${key}: ${reason}`)
  }

  /** Why it should have stayed. */
  #judge(deleted: Deleted, look: Look): string | undefined {
    const { actor } = look
    if (actor.kind === 'user') {
      const isKept = deleted.kind === 'tag' && actor.asked.purged === undefined
      return (
        judgeAsked(deleted, actor.asked, look) ??
        (isKept ? this.#lacksRecord(deleted, look) : undefined)
      )
    }
    if (actor.kind === 'writer') {
      const isOwn = deleted.kind === 'upload' || deleted.written >= actor.since
      return isOwn ? undefined : 'it is not the writer’s own'
    }
    return this.#judgeGarbage(deleted, look)
  }

  #judgeGarbage(deleted: Deleted, look: Look): string | undefined {
    const { kind, digest, part, key } = deleted
    const { store, now } = look
    switch (kind) {
      case 'record':
        return this.#recordLives(deleted, look)
      case 'entry': {
        const record = recordOf(part('repository'), digest)
        const written = store.objects.get(record)?.lastModified.getTime()
        return written === undefined || written >= look.actor.since
          ? undefined
          : this.#recordLives({ ...deleted, key: record, written }, look)
      }
      case 'event':
        return recordOfEvent(deleted, look)
      case 'member':
        return wrote(look, formsOf(digest))
      case 'link': {
        const day = 24 * 3_600_000
        const end = Math.min(Number(part('end')), deleted.written + day) + this.#lives.link
        return end >= now ? `it ends in ${end - now} ms` : undefined
      }
      case 'upload':
        return this.#uploadLives(part('id'), look)
      case 'chunk':
        return store.chunks.has(key) ? 'a recipe names it' : linkOf(`sha256:${part('hex')}`, look)
      case 'tag':
        return this.#tagLives(deleted, look)
      case 'tag file':
        return undefined
      case 'unknown':
        return 'no collector knows it'
      default: {
        const holder = store.holderOf(digest)
        return holder ? `${holder.label} needs it` : linkOf(digest, look)
      }
    }
  }

  #recordLives(record: Deleted, look: Look): string | undefined {
    const repository = record.part('repository')
    const age = this.#lives.record(repository)
    const own = look.store.roots.find(({ key }) => key === record.key)
    const names = own?.digests ?? [record.digest]
    const dates = names.map((name) => this.#untagged.get(`${repository} ${name}`) ?? 0)
    const youngest = Math.max(record.written, ...dates)
    if (look.now - youngest <= age) return `it has been untagged for ${look.now - youngest} ms`
    // What goes with it, or will go next, keeps nothing.
    const stays = (root: Root): boolean =>
      root.kind === 'tag' ||
      look.now - root.written <= age ||
      (record.kind === 'record' && !look.doomed.has(root.key))
    for (const root of look.store.rootsOf(repository)) {
      if (root.key === record.key || !stays(root)) continue
      if (names.some((name) => root.manifests.has(name))) return `${root.label} reaches it`
      // A subject that comes back while its referrer goes is as good as one that comes later.
      const isOlder = root.written < look.actor.since
      if (isOlder && own?.subject !== undefined && root.manifests.has(own.subject)) {
        return `it refers to ${own.subject}, which ${root.label} has`
      }
    }
    return linkOf(record.digest, look)
  }

  /** One that a rule drops: its image stays pullable by its digest. */
  #tagLives(tag: Deleted, look: Look): string | undefined {
    const repository = tag.part('repository')
    const kept = this.#lives.keptTags?.(repository)
    if (kept === undefined) return 'no rule drops tags here'
    const newer = look.store
      .rootsOf(repository)
      .filter(({ kind, written }) => kind === 'tag' && written > tag.written)
    if (!this.#lives.isShared && newer.length < kept) return `it is one of the newest ${kept}`
    return this.#lacksRecord(tag, look)
  }

  /** What moves or deletes a tag has written the record of its image anew. */
  #lacksRecord(tag: Deleted, { recorded, actor }: Look): string | undefined {
    const dates = recorded.get(tag.key)
    const since = this.#lives.isShared ? 0 : actor.since
    const isKept = dates === undefined || dates.some((date) => date >= since)
    return isKept ? undefined : 'its image has no record of now'
  }

  #uploadLives(id: string, { store, actor, now }: Look): string | undefined {
    const prefix = `.s3lo/uploads/${id}/`
    const pieces = [...store.objects.values()].filter(({ key }) => key.startsWith(prefix))
    const dates = pieces.map(({ lastModified }) => lastModified.getTime())
    const latest = Math.max(...dates.filter((date) => date < actor.since))
    return latest + this.#lives.abandoned >= now ? 'it is being sent' : undefined
  }
}

/** A user gets rid of what was asked for, and of nothing that a tag that stays reaches. */
function judgeAsked(deleted: Deleted, asked: Asked, look: Look): string | undefined {
  const { kind, digest, part } = deleted
  const { repository, tag, purged = [], blob } = asked
  const isPurged = (mark: string): boolean =>
    purged === 'unknown' || purged.some((each) => each === mark || markOf(each) === mark)
  if (part('repository') !== repository) return `it is not in ${repository}`
  switch (kind) {
    case 'tag': {
      const named = look.store.tagOf(deleted.key)?.digests ?? []
      const isNamed = part('tag') === tag || (tag === undefined && named.includes(purged[0] ?? ''))
      return isNamed ? undefined : 'it is another tag'
    }
    case 'tag file':
      return tag === undefined || part('tag') === tag ? undefined : 'it is of another tag'
    case 'record': {
      if (!isPurged(digest)) return 'it is of another image'
      const tags = look.store.rootsOf(repository).filter((root) => root.kind === 'tag')
      // An index that has the image itself stays whole without its record, as the answer says.
      const isRoot = purged === 'unknown' || digest === purged[0]
      const holder = tags.find(({ digests, manifests }) =>
        isRoot ? digests.includes(digest) : manifests.has(digest),
      )
      return holder && `${holder.label} reaches it`
    }
    case 'entry':
      return isPurged(digest) ? undefined : 'it is of another image'
    case 'event': {
      const isOwn = deleted.written >= look.actor.since
      return isOwn || isPurged(markOfEvent(part('id'))) ? undefined : 'it is of another image'
    }
    case 'link':
    case 'member':
      return digest === blob ? undefined : 'it is of another blob'
    default:
      return 'it is not a user’s to delete'
  }
}

/** An event lives with the record of the digest that its id names. */
function recordOfEvent({ part }: Deleted, look: Look): string | undefined {
  const mark = markOfEvent(part('id'))
  const records = look.store.rootsOf(part('repository')).filter(({ kind }) => kind === 'record')
  const keys = records.flatMap(({ key, manifests }) =>
    [...manifests].some((digest) => markOf(digest) === mark && key.includes(mark)) ? [key] : [],
  )
  return wrote(
    look,
    keys.filter((key) => !look.doomed.has(key)),
  )
}

/** The first of the objects that was there before the deleter began. */
function wrote({ store, actor }: Look, keys: readonly string[]): string | undefined {
  const isOlder = (key: string): boolean =>
    (store.objects.get(key)?.lastModified.getTime() ?? Infinity) < actor.since
  const key = keys.find(isOlder)
  return key === undefined ? undefined : `${key} is there`
}

/** A link that was there before the collector began, and has not ended. */
function linkOf(digest: string, { store, actor, now }: Look): string | undefined {
  for (const { key, lastModified } of store.objects.values()) {
    if (!key.startsWith('.s3lo/links/')) continue
    const link = toDeleted(key, lastModified.getTime())
    const isAlive = Number(link.part('end')) >= now && link.written < actor.since
    if (link.digest === digest && isAlive) return `${key} protects it`
  }
  return undefined
}
