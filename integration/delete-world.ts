/**
 * A store in memory with a clock of its own, and random work on it that a seed fixes: images are pushed, moved,
 * copied, restored, attached to, sent by clients, deleted, purged, dropped by rules and collected.
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
  type SourceEnd,
  type StorageBackend,
} from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import {
  attachReferrer,
  FixtureSource,
  type ImageFixture,
  imageFixture,
  indexFixture,
  MemoryBackend,
  noise,
  referrerFixture,
  TAR_END,
  tarFile,
} from '@s3lo/core/testing'
import { type Actor, DeleteLedger } from './delete-ledger.ts'
import { randomOf } from './random.ts'

const MIB = 1 << 20
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

const LAYERS = Array.from({ length: 6 }, (_, n) => `layer ${n}`)
const PLAIN = Array.from({ length: 8 }, (_, n) =>
  imageFixture({ layers: [LAYERS[n % 6] ?? '', LAYERS[(n * 2 + 1) % 6] ?? ''], label: `${n}` }),
)
const INDEXES = [0, 2, 4].map((n) =>
  indexFixture({ 'linux/amd64': at(PLAIN, n), 'linux/arm64': at(PLAIN, n + 1) }),
)
const IMAGES = [...PLAIN, ...INDEXES]
/** What they share is their first chunk. */
const CHUNKED = Array.from({ length: 3 }, (_, n) => {
  const files = [
    tarFile('shared', noise('shared', 5 * MIB)),
    tarFile('own', noise(`own ${n}`, 2 * MIB)),
  ]
  return imageFixture({ layers: [Buffer.concat([...files, TAR_END])], label: `chunked ${n}` })
})

/** What a participant sees in place of the store: mutants of the protocol are made so. */
export type Distort = (actor: Actor['kind'], backend: StorageBackend) => StorageBackend

export class DeleteWorld {
  time = Date.UTC(2026, 0, 1)
  readonly ledger: DeleteLedger
  readonly #backend: MemoryBackend
  readonly #random: () => number
  readonly #distort: Distort

  private constructor(seed: number, distort: Distort) {
    this.#random = randomOf(seed)
    this.#distort = distort
    this.#backend = new MemoryBackend({ now: () => new Date(this.time) })
    const lives = {
      record: (repository: string) => (repository === 'app' ? KEPT_UNTAGGED : DAY + MARGIN),
      link: MARGIN,
      abandoned: DAY,
      keptTags: (repository: string) => (repository === 'ruled' ? KEPT_TAGS : undefined),
    }
    this.ledger = new DeleteLedger(this.#backend, lives, () => this.time)
  }

  static async open(
    seed: number,
    distort: Distort = (_actor, backend) => backend,
  ): Promise<DeleteWorld> {
    const world = new DeleteWorld(seed, distort)
    await world.#backend.put('s3lo.yaml', Buffer.from(SETTINGS))
    return world
  }

  /** So many pieces of work, one after the other. */
  async work(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.time += Math.ceil(this.#random() * 20) * MINUTE
      if (this.#random() < 0.08) this.time += Math.ceil(this.#random() * 30) * HOUR
      await this.#any().catch((error: unknown) => {
        // What was to be moved, deleted or restored is not there.
        if (!isS3loError(error, 'NOT_FOUND')) throw error
      })
      await this.ledger.observe()
    }
  }

  /** All tags are deleted, and all lives end: gives the keys of what is left. */
  async end(): Promise<readonly string[]> {
    for (const name of [...REPOSITORIES, 'chunked', 'uploaded']) {
      for (const tag of TAGS) {
        await this.#delete({ name, tag }).catch((error: unknown) => {
          if (!isS3loError(error, 'NOT_FOUND')) throw error
        })
        await this.ledger.observe()
      }
    }
    // What one has deleted lets go of members, events and entries, which a later one finds.
    for (let round = 0; round < 3; round++) {
      this.time += KEPT_UNTAGGED + DAY
      await this.#clean()
    }
    const keys = await Array.fromAsync(this.#backend.list(''), ({ key }) => key)
    return keys.filter((key) => !isKept(key))
  }

  async #any(): Promise<void> {
    const luck = this.#random()
    if (luck < 0.24) return this.#push()
    if (luck < 0.29) return this.#pushChunked()
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
    const options = { now: () => this.time }
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
      this.time += this.#luck(3) * HOUR
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

  async #unlink(): Promise<void> {
    const prefix = this.#pick(['.s3lo/repositories/uploaded/_members/', '.s3lo/links/uploaded/'])
    const keys = await Array.fromAsync(this.#backend.list(prefix), ({ key }) => key)
    const [blob] = keys[this.#luck(keys.length)]?.slice(prefix.length).split('/') ?? []
    if (blob === undefined) return
    const digest = blob.replace('-', ':')
    const store = this.#store('user', { repository: 'uploaded', blob: digest })
    const membership = openMembership(store.backend, { now: () => this.time })
    await membership.unlink('uploaded', digest).catch((error: unknown) => {
      if (!isS3loError(error, 'CONFLICT')) throw error
    })
  }

  async #delete(reference: Reference & { readonly tag: string }): Promise<void> {
    const { name, tag } = reference
    await deleteTag(this.#store('user', { repository: name, tag }), placeOf(reference))
  }

  async #purge(): Promise<void> {
    const reference = this.#tag(this.#pick([...REPOSITORIES, 'chunked']))
    const purged = await this.#digestsOf(reference)
    const asked = { repository: reference.name, tag: reference.tag, purged }
    await deleteTag(this.#store('user', asked), placeOf(reference), { purge: true })
    this.ledger.forget(reference.name, purged)
  }

  /** Of an image, or of what refers to one. */
  async #deleteDigest(): Promise<void> {
    const name = this.#pick(REPOSITORIES)
    const image = this.#pick(IMAGES).root.descriptor
    const store = new ImageStore(this.#backend)
    const about = await Array.fromAsync(store.referrers(name, image))
    const { digest } = this.#pick(about.length > 0 ? about : [image])
    const reference = { name, digest }
    const purged = await this.#digestsOf(reference)
    await deleteTag(this.#store('user', { repository: name, purged }), placeOf(reference))
    this.ledger.forget(name, purged)
  }

  async #clean(): Promise<void> {
    const store = this.#store('collector')
    const graceMs = this.#pick([0, HOUR])
    await clean(store, '', { confirm: true, config: RULES, expectFewer: true, graceMs })
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
    return new ImageStore(this.ledger.through(actor, this.#distort(kind, this.#backend)))
  }

  #tag(name: string = this.#pick(REPOSITORIES)): Reference & { readonly tag: string } {
    return { name, tag: this.#pick(TAGS) }
  }

  #luck(below: number): number {
    return Math.floor(this.#random() * below)
  }

  #pick<T>(items: readonly T[]): T {
    return at(items, this.#luck(items.length))
  }
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

function at<T>(items: readonly T[], n: number): T {
  const item = items[n]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}
