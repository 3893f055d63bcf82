/**
 * A store in memory with a clock of its own, and random work on it that a seed fixes, one piece after the
 * other or several at once, whose requests come in any order: images are pushed, moved, copied, restored, attached to, sent by clients, deleted, purged, dropped by rules and collected.
 */
import { Readable } from 'node:stream'
import {
  clean,
  copy,
  deleteTag,
  ImageStore,
  openMembership,
  openUploads,
  push,
  putManifest,
  type Reference,
  type RepositoryOptions,
  type SourceEnd,
  type StorageBackend,
} from '@s3lo/core'
import { isS3loError, S3loError } from '@s3lo/core/plugin'
import {
  attachReferrer,
  FaultyBackend,
  FixtureSource,
  type ImageFixture,
  MemoryBackend,
  referrerFixture,
} from '@s3lo/core/testing'
import { type Actor, DeleteLedger } from './delete-ledger.ts'
import { CHUNKED, IMAGES, PLAIN } from './delete-images.ts'
import { randomOf } from './random.ts'
import { pick } from './soak-images.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const MARGIN = 5 * MINUTE
/** By the rules below, and never less than a day. */
const KEPT_UNTAGGED = 3 * DAY
const KEPT_TAGS = 2
const RULES = {
  default: { lifecycle: { keepUntagged: '0' } },
  images: {
    app: { lifecycle: { keepUntagged: '3d' } },
    ruled: { lifecycle: { keepUntagged: '0', keepLast: KEPT_TAGS } },
  },
} as const
const SETTINGS = 'images:\n  chunked:\n    chunked: true\n'
const REPOSITORIES = ['app', 'ruled', 'team/app'] as const
const TAGS = ['a', 'b', 'c', 'd', 'e'] as const

/** What a participant sees in place of the store: mutants of the protocol are made so. */
export type Distort = (actor: Actor['kind'], backend: StorageBackend) => StorageBackend

export interface DeleteWorldOptions {
  readonly distort?: Distort
  /** Pieces of work at once (default 1). Then nothing is stored in chunks, which other threads encode. */
  readonly width?: number
}

/** What was to be moved, deleted or restored is not there. */
const ALONE = new Set(['NOT_FOUND'])
/** Others are faster. */
const CROWDED = new Set(['NOT_FOUND', 'CONFLICT', 'UNAVAILABLE'])
/** Requests of others before the first of a participant, and between two of the slowest. */
const MOST_BEFORE = 40
const MOST_BETWEEN = 12
/** Looks at others while several work. */
const MOST_WAITS = 5000

export class DeleteWorld {
  time = Date.UTC(2026, 0, 1)
  readonly ledger: DeleteLedger
  readonly #backend: MemoryBackend
  readonly #random: () => number
  readonly #distort: Distort
  readonly #width: number
  #waits = 0
  readonly #protection: { readonly delay: Delay }

  private constructor(seed: number, options: DeleteWorldOptions) {
    const { distort = (_actor, backend) => backend, width = 1 } = options
    this.#random = randomOf(seed)
    this.#distort = distort
    this.#width = width
    // No time passes while others work: there is nothing to renew.
    this.#protection = {
      delay: (_ms, signal, isBackground) => (isBackground ? untilAborted(signal) : this.#wait()),
    }
    this.#backend = new MemoryBackend({ now: () => new Date(this.time) })
    const lives = {
      record: (repository: string) => (repository === 'app' ? KEPT_UNTAGGED : DAY + MARGIN),
      link: MARGIN,
      abandoned: DAY,
      keptTags: (repository: string) => (repository === 'ruled' ? KEPT_TAGS : undefined),
      isShared: width > 1,
    }
    this.ledger = new DeleteLedger(this.#backend, lives, () => this.time)
  }

  static async open(seed: number, options: DeleteWorldOptions = {}): Promise<DeleteWorld> {
    const world = new DeleteWorld(seed, options)
    await world.#backend.put('s3lo.yaml', Buffer.from(SETTINGS))
    return world
  }

  /** So many times a piece of work, or several at once. */
  async work(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.time += Math.ceil(this.#random() * 20) * MINUTE
      if (this.#random() < 0.08) this.time += Math.ceil(this.#random() * 30) * HOUR
      this.#waits = 0
      const pieces = Array.from({ length: this.#width }, (_, n) => this.#piece(n))
      for (const piece of await Promise.allSettled(pieces)) {
        if (piece.status === 'fulfilled') continue
        const expected = this.#isAlone ? ALONE : CROWDED
        const { reason } = piece
        if (!isS3loError(reason) || !expected.has(reason.code)) throw reason
      }
      // Of several at once it cannot be told which came first.
      if (this.#isAlone) await this.ledger.observe()
      for (const lost of await this.ledger.lost()) this.ledger.violations.push(`lost: ${lost}`)
    }
  }

  /** All tags are deleted, and all lives end: gives the keys of what is left. */
  async end(): Promise<readonly string[]> {
    for (const name of [...REPOSITORIES, 'chunked', 'uploaded']) {
      for (const tag of TAGS) {
        await this.#delete({ name, tag }).catch((error: unknown) => {
          if (!isS3loError(error, 'NOT_FOUND')) throw error
        })
        if (this.#isAlone) await this.ledger.observe()
      }
    }
    // What one has deleted lets go of members, events and entries, which a later one finds.
    for (let round = 0; round < 3; round++) {
      this.time += KEPT_UNTAGGED + DAY
      await this.#clean()
    }
    return (await this.#keys('')).filter((key) => !isKept(key))
  }

  #keys(prefix: string): Promise<readonly string[]> {
    return Array.fromAsync(this.#backend.list(prefix), ({ key }) => key)
  }

  get #isAlone(): boolean {
    return this.#width === 1
  }

  /** Of several at once, the first collects. Each begins at another time. */
  async #piece(n: number): Promise<void> {
    await this.#turn(MOST_BEFORE)
    return n === 0 && !this.#isAlone ? this.#clean(0) : this.#any()
  }

  /** Lets some requests of others come first. */
  async #turn(most: number): Promise<void> {
    if (this.#isAlone) return
    for (let left = this.#luck(most); left > 0; left--) await new Promise(setImmediate)
  }

  /** What was left by a participant that failed is waited for without end. */
  async #wait(): Promise<void> {
    this.#waits += 1
    if (this.#waits > MOST_WAITS) throw new S3loError('UNAVAILABLE', 'others take too long')
    await new Promise(setImmediate)
  }

  async #any(): Promise<void> {
    const luck = this.#random()
    if (luck < 0.24) return this.#push()
    if (luck < 0.29) return this.#isAlone ? this.#pushChunked() : this.#push()
    if (luck < 0.35) return this.#copy()
    if (luck < 0.43) return this.#restore()
    if (luck < 0.5) return this.#attach()
    if (luck < 0.62) return this.#upload()
    if (luck < 0.67) return this.#unlink()
    if (luck < 0.76) return this.#delete(this.#tag(this.#pick([...REPOSITORIES, 'chunked'])))
    if (luck < 0.81) return this.#purge()
    if (luck < 0.85) return this.#deleteDigest()
    return this.#clean()
  }

  async #push(): Promise<void> {
    const target = this.#store('writer')
    await copy(sourceOf(this.#pick(IMAGES)), { target, reference: this.#tag() })
  }

  async #pushChunked(): Promise<void> {
    const to = { scheme: 'memory', bucket: 'memory', image: 'chunked', ...this.#tag('chunked') }
    await push(sourceOf(this.#pick(CHUNKED)), this.#store('writer'), to)
  }

  async #copy(): Promise<void> {
    const target = this.#store('writer')
    const reference = this.#tag(this.#pick([...REPOSITORIES, 'chunked', 'uploaded']))
    await copy({ source: target, reference }, { target, reference: this.#tag() })
  }

  /** By its digest, to any tag of its repository. */
  async #restore(): Promise<void> {
    const target = this.#store('writer')
    const name = this.#pick(REPOSITORIES)
    const reference = { name, digest: this.#pick(IMAGES).root.descriptor.digest }
    await copy({ source: target, reference }, { target, reference: this.#tag(name) })
  }

  /** A referrer of what a tag names, and sometimes one of that. */
  async #attach(): Promise<void> {
    const store = this.#store('writer')
    const reference = this.#tag()
    const subject = await store.resolve(reference)
    const about = referrerFixture(subject, 'application/about', `about ${this.#luck(4)}`)
    const again = referrerFixture(about.root.descriptor, 'application/about', 'about that')
    for (const { root, content } of this.#random() < 0.3 ? [about, again] : [about]) {
      const of = root.manifest.subject
      if (!of) throw new Error('expected a subject, got none')
      await attachReferrer(store, root, { repository: reference.name, subject: of }, (blob) =>
        Promise.resolve(Readable.from([content.get(blob.digest) ?? Buffer.alloc(0)])),
      )
    }
  }

  /** As a client of a registry: it may stop anywhere. */
  async #upload(): Promise<void> {
    const store = this.#store('writer')
    const options = { now: () => this.time, ...this.#protection }
    const uploads = openUploads(store.backend, options)
    const membership = openMembership(store.backend, options)
    const image = this.#pick(PLAIN)
    for (const [digest, content] of image.content) {
      if (await membership.claim('uploaded', digest)) continue
      if (this.#random() < 0.2) {
        await uploads.begin('uploaded')
        return
      }
      await uploads.putBlob('uploaded', digest, Readable.from([content]))
      if (this.#isAlone) this.time += this.#luck(3) * HOUR
    }
    const put = { repository: 'uploaded', document: image.root, isByDigest: this.#random() < 0.3 }
    const tags = put.isByDigest ? [] : [this.#pick(TAGS)]
    const mayName = async (digest: string): Promise<boolean> =>
      (await membership.find('uploaded', digest)) !== undefined
    await putManifest(store, { ...put, tags }, { mayName })
    // Another process asks, which remembers nothing.
    const fresh = openMembership(store.backend, options)
    for (const digest of image.content.keys()) await fresh.find('uploaded', digest)
  }

  /** The first blob of those that a client may have named and that no manifest needs. */
  async #unlink(): Promise<void> {
    const prefix = this.#pick(['.s3lo/repositories/uploaded/_members/', '.s3lo/links/uploaded/'])
    const keys = await this.#keys(prefix)
    for (const blob of new Set(keys.map((key) => key.slice(prefix.length).split('/')[0] ?? ''))) {
      const digest = blob.replace('-', ':')
      const { backend } = this.#store('user', { repository: 'uploaded', blob: digest })
      const membership = openMembership(backend, { now: () => this.time, ...this.#protection })
      try {
        if (await membership.unlink('uploaded', digest)) return
      } catch (error) {
        if (!isS3loError(error, 'CONFLICT')) throw error
      }
    }
  }

  async #delete(reference: Reference & { readonly tag: string }): Promise<void> {
    const { name, tag } = reference
    const store = this.#store('user', { repository: name, tag })
    await deleteTag(store, placeOf(reference), { protection: this.#protection })
  }

  async #purge(): Promise<void> {
    const reference = this.#tag(this.#pick([...REPOSITORIES, 'chunked']))
    const digests = await this.#digestsOf(reference)
    const purged = this.#isAlone ? digests : 'unknown'
    const store = this.#store('user', { repository: reference.name, tag: reference.tag, purged })
    const options = { purge: true, protection: this.#protection }
    await deleteTag(store, placeOf(reference), options)
    this.ledger.forget(reference.name, digests)
  }

  /** Of an image, or of what refers to one. */
  async #deleteDigest(): Promise<void> {
    const name = this.#pick(REPOSITORIES)
    const entry = this.#pick([...(await this.#keys(`.s3lo/repositories/${name}/_referrers/`)), ''])
    const [, referrer] = /\/sha256-([0-9a-f]{64})\.json$/.exec(entry) ?? []
    const { digest } =
      referrer === undefined ? this.#pick(IMAGES).root.descriptor : { digest: `sha256:${referrer}` }
    const reference = { name, digest }
    const purged = await this.#digestsOf(reference)
    const user = this.#store('user', { repository: name, purged })
    await deleteTag(user, placeOf(reference), { protection: this.#protection })
    this.ledger.forget(name, purged)
  }

  async #clean(graceMs = this.#pick([0, HOUR])): Promise<void> {
    const store = this.#store('collector')
    const options = { confirm: true, config: RULES, expectFewer: true, graceMs }
    await clean(store, '', { ...options, protocol: this.#protection })
  }

  async #digestsOf(reference: Reference): Promise<readonly string[]> {
    const { descriptor, manifest } = await new ImageStore(this.#backend).read(reference)
    const below = manifest.kind === 'index' ? manifest.manifests : []
    return [descriptor.digest, ...below.map(({ digest }) => digest)]
  }

  #store(kind: 'collector' | 'writer'): ImageStore
  #store(kind: 'user', asked: (Actor & { readonly kind: 'user' })['asked']): ImageStore
  #store(kind: Actor['kind'], asked = { repository: '' }): ImageStore {
    const actor: Actor =
      kind === 'user' ? { kind, asked, since: this.time } : { kind, since: this.time }
    const seen = this.#distort(kind, this.#backend)
    const pace = this.#luck(MOST_BETWEEN)
    const slowed = new FaultyBackend(seen, { before: () => this.#turn(pace) })
    const options = { protection: this.#protection }
    return new ImageStore(this.ledger.through(actor, slowed), options)
  }

  #tag(name: string = this.#pick(REPOSITORIES)): Reference & { readonly tag: string } {
    return { name, tag: this.#pick(TAGS) }
  }

  #luck(below: number): number {
    return Math.floor(this.#random() * below)
  }

  #pick<T>(items: readonly T[]): T {
    return pick(items, this.#luck(items.length))
  }
}

type Delay = NonNullable<RepositoryOptions['delay']>

/** Rejects with the signal's reason. */
function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason)
    else signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function placeOf(reference: Reference): Parameters<typeof deleteTag>[1] {
  return { scheme: 'memory', bucket: 'memory', ...reference }
}

function sourceOf(image: ImageFixture): SourceEnd {
  const reference = { name: 'app', tag: 'x' }
  return { source: new FixtureSource({ 'app:x': image }), reference }
}

/** Settings, histories of tags, and what a clean leaves for the next. */
function isKept(key: string): boolean {
  return /^s3lo\.yaml$|^\.s3lo\/settings-seen\.json$|\/history\.json$|^\.s3lo\/gc\/tags\//.test(key)
}
