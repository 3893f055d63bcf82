/**
 * One process of the soak: pushes, uploads, deletes or collects in one store until its stdin ends, and
 * tells what came of each piece of work, a line of JSON each. Arguments: role, scheme, bucket, seed.
 */
import { Readable } from 'node:stream'
import {
  clean,
  copy,
  type Descriptor,
  deleteTag,
  type ImageStore,
  push,
  type Reference,
  type SourceEnd,
  type StorageBackend,
} from '@s3lo/core'
import { FixtureSource, type ImageFixture, referrerFixture } from '@s3lo/core/testing'
import { type Actor, DeleteLedger } from './delete-ledger.ts'
import { randomOf } from './random.ts'
import { CHUNKED_IMAGES, pick, SOAK_IMAGES } from './soak-images.ts'
import { SoakClient } from './soak-uploads.ts'
import {
  CLEAN_OPTIONS,
  LIFETIMES,
  openSoakBackend,
  openSoakStore,
  PROTECTION,
  PURGED,
  type Report,
  reportOf,
  REPOSITORIES,
  TAGS,
  TICK_MS,
} from './soak-world.ts'

class SoakWorker {
  readonly #backend: StorageBackend
  readonly #store: ImageStore
  readonly #random: () => number
  readonly #client: SoakClient
  readonly #ledger: DeleteLedger
  /** Digests of the images that were pushed in chunks. */
  readonly #chunked = new Set<string>()

  constructor(backend: StorageBackend, seed: number) {
    this.#backend = backend
    this.#store = openSoakStore(backend)
    this.#random = randomOf(seed)
    this.#client = new SoakClient(this.#store, this.#random)
    this.#ledger = new DeleteLedger(backend, LIFETIMES, Date.now)
  }

  async push(): Promise<Report> {
    const image = this.#pick(SOAK_IMAGES)
    const luck = this.#random()
    if (luck < 0.2) return this.#copy('copy', this.#tag(), 'app')
    if (luck < 0.35) {
      const { digest } = image.root.descriptor
      return this.#copy('restore', { name: 'app', digest }, 'app')
    }
    if (luck < 0.5) return this.#attach(image)
    const name = luck < 0.6 ? PURGED.plain : 'app'
    await copy(sourceOf(image), { target: this.#store, reference: this.#tag(name) })
    return { work: 'push' }
  }

  /** As {@link push}, of images whose layers are stored in chunks; copies go to every repository. */
  async chunk(): Promise<Report> {
    const luck = this.#random()
    if (luck < 0.2 && this.#chunked.size > 0) {
      const digest = this.#pick([...this.#chunked])
      return this.#copy('restore', { name: 'chunked', digest }, 'chunked')
    }
    if (luck < 0.5) return this.#copy('copy', this.#tag('chunked'), this.#pick(REPOSITORIES))
    const { scheme, bucket } = this.#backend
    const name = luck < 0.65 ? PURGED.chunked : 'chunked'
    const to = { scheme, bucket, image: name, ...this.#tag(name) }
    const image = pick(CHUNKED_IMAGES, Math.floor(luck * 1000))
    const pushed = await push(sourceOf(image), this.#store, to)
    this.#chunked.add(pushed.digest)
    return { work: 'push' }
  }

  /** What clients of a registry do. */
  upload(): Promise<Report> {
    return this.#client.work()
  }

  async delete(): Promise<Report> {
    const isPurge = this.#random() < 0.3
    const work = isPurge ? 'purge' : 'delete'
    const names = isPurge ? Object.values(PURGED) : REPOSITORIES
    const { scheme, bucket } = this.#backend
    const tag = this.#tag(this.#pick(names))
    const reference = { scheme, bucket, image: tag.name, ...tag }
    const asked = {
      repository: tag.name,
      tag: tag.tag,
      ...(isPurge && { purged: 'unknown' as const }),
    }
    const store = this.#watched({ kind: 'user', asked, since: Date.now() - TICK_MS })
    try {
      await deleteTag(store, reference, { purge: isPurge, protection: PROTECTION })
      return { work, ...this.#ledger.take() }
    } catch (error) {
      return { ...reportOf(work, error), ...this.#ledger.take() }
    }
  }

  async collect(): Promise<Report> {
    const store = this.#watched({ kind: 'collector', since: Date.now() - TICK_MS })
    try {
      const { unreadable, failed } = await clean(store, '', CLEAN_OPTIONS)
      const deletes = this.#ledger.take()
      if (unreadable[0])
        return { work: 'collect', failure: 'UNREADABLE', ...unreadable[0], ...deletes }
      // The round's end came first: its objects wait for the next one.
      if (failed[0])
        return { work: 'collect', failure: 'LATE', message: failed[0].message, ...deletes }
      return { work: 'collect', ...deletes }
    } catch (error) {
      return { ...reportOf('collect', error), ...this.#ledger.take() }
    }
  }

  /** The store for one whose deletes are judged. */
  #watched(actor: Actor): ImageStore {
    return openSoakStore(this.#ledger.through(actor))
  }

  async #copy(work: 'copy' | 'restore', reference: Reference, name: string): Promise<Report> {
    try {
      const from = { source: this.#store, reference }
      await copy(from, { target: this.#store, reference: this.#tag(name) })
      return { work }
    } catch (error) {
      return reportOf(work, error)
    }
  }

  async #attach({ root }: ImageFixture): Promise<Report> {
    const begun = this.#store.begin()
    const text = `about ${Math.floor(this.#random() * 4)}`
    const referrer = referrerFixture(root.descriptor, 'application/soak', text)
    const open = async ({ digest }: Descriptor): Promise<Readable> =>
      Readable.from([referrer.content.get(digest) ?? Buffer.alloc(0)])
    try {
      await begun.attach(referrer.root, { repository: 'app', subject: root.descriptor }, open)
      return { work: 'attach' }
    } catch (error) {
      return reportOf('attach', error)
    } finally {
      await begun.release()
    }
  }

  #tag(name = 'app'): Reference & { readonly tag: string } {
    return { name, tag: this.#pick(TAGS) }
  }

  #pick<T>(items: readonly T[]): T {
    return pick(items, Math.floor(this.#random() * items.length))
  }
}

function sourceOf(image: ImageFixture): SourceEnd {
  const reference = { name: 'app', tag: 'x' }
  return { source: new FixtureSource({ 'app:x': image }), reference }
}

const ROLES = ['push', 'chunk', 'upload', 'delete', 'collect'] as const

async function main([
  role,
  scheme = '',
  bucket = '',
  seed = '0',
]: readonly string[]): Promise<void> {
  const work = ROLES.find((name) => name === role)
  if (!work) throw new Error(`no such role: ${role}`)
  const worker = new SoakWorker(await openSoakBackend(scheme, bucket), Number(seed))
  const end = new AbortController()
  process.stdin.on('end', () => end.abort()).resume()
  while (!end.signal.aborted) {
    const report = await worker[work]().catch((error: unknown) =>
      reportOf(work === 'chunk' ? 'push' : work, error),
    )
    process.stdout.write(`${JSON.stringify(report)}\n`)
    // Lets the pushers get ahead: there is to be something to delete.
    if (work === 'delete') await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2))
