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
import { randomOf } from './random.ts'
import { CHUNKED_IMAGES, pick, SOAK_IMAGES } from './soak-images.ts'
import { SoakClient } from './soak-uploads.ts'
import {
  CLEAN_OPTIONS,
  openSoakBackend,
  openSoakStore,
  PROTECTION,
  PURGED,
  type Report,
  reportOf,
  REPOSITORIES,
  TAGS,
} from './soak-world.ts'

class SoakWorker {
  readonly #backend: StorageBackend
  readonly #store: ImageStore
  readonly #random: () => number
  readonly #client: SoakClient
  /** Digests of the images that were pushed in chunks. */
  readonly #chunked = new Set<string>()

  constructor(backend: StorageBackend, seed: number) {
    this.#backend = backend
    this.#store = openSoakStore(backend)
    this.#random = randomOf(seed)
    this.#client = new SoakClient(this.#store, this.#random)
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
    try {
      await deleteTag(this.#store, reference, { purge: isPurge, protection: PROTECTION })
      return { work }
    } catch (error) {
      return reportOf(work, error)
    }
  }

  async collect(): Promise<Report> {
    const result = await clean(this.#store, '', CLEAN_OPTIONS)
    const [unreadable] = result.unreadable
    const [failed] = result.failed
    const deleted = result.deleted + result.records_deleted
    if (unreadable) return { work: 'collect', failure: 'UNREADABLE', ...unreadable, deleted }
    // The round's end came first: its objects wait for the next one.
    if (failed) return { work: 'collect', failure: 'LATE', message: failed.message, deleted }
    return { work: 'collect', deleted }
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
