/** What clients of a registry do in the soak, through the operations that a server leads them to. */
import { Readable } from 'node:stream'
import {
  type ImageStore,
  type Membership,
  openMembership,
  openUploads,
  putManifest,
  type UploadName,
  type Uploads,
} from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import type { ImageFixture } from '@s3lo/core/testing'
import { pick, SINGLE_IMAGES } from './soak-images.ts'
import {
  LINK_LIFE_MS,
  MAX_WAIT_MS,
  type Report,
  reportOf,
  REPOSITORY_OPTIONS,
  TAGS,
} from './soak-world.ts'

const REPOSITORY = 'uploaded'
/** What is sent where it does not belong. */
const RIVAL = Buffer.from('bytes of another client')
const MOST_PIECES = 4
/** A client waits so long (milliseconds) between its last blob and the manifest. */
const MOST_IDLE_MS = 3000
const MOST_BETWEEN_PIECES_MS = 300

/** How an upload went: a rival took a place that its client had asked for, or none did. */
type Sent = 'stored' | 'overtaken'

/** A client that sends blobs in pieces, and the manifest that names them later. */
export class SoakClient {
  readonly #store: ImageStore
  readonly #uploads: Uploads
  readonly #membership: Membership
  readonly #random: () => number

  constructor(store: ImageStore, random: () => number) {
    this.#store = store
    this.#uploads = openUploads(store.backend, REPOSITORY_OPTIONS)
    this.#membership = openMembership(store.backend, REPOSITORY_OPTIONS)
    this.#random = random
  }

  /** One piece of work, at random. */
  async work(): Promise<Report> {
    const luck = this.#random()
    const [work, run] =
      luck < 0.15
        ? (['cancel', () => this.#begun(true)] as const)
        : luck < 0.3
          ? (['abandon', () => this.#begun(false)] as const)
          : luck < 0.55
            ? (['rival', () => this.#intrude()] as const)
            : (['publish', () => this.#publish()] as const)
    try {
      return await run()
    } catch (error) {
      return reportOf(work, error)
    }
  }

  /** Sends what the repository does not have, is idle for a while, and publishes the manifest. */
  async #publish(): Promise<Report> {
    const image = this.#pick(SINGLE_IMAGES)
    const began = Date.now()
    for (const [digest, content] of image.content) {
      const isThere = await this.#membership.claim(REPOSITORY, digest)
      if (isThere) continue
      const sent = await this.#send(digest, content)
      if (sent === 'overtaken') return { work: 'upload', failure: 'OVERTAKEN' }
    }
    await this.#idle(MOST_IDLE_MS)
    return this.#name(image, began)
  }

  /** As a server does for a client that may name only what its repository has. */
  async #name({ root: document }: ImageFixture, began: number): Promise<Report> {
    const put = { repository: REPOSITORY, document, isByDigest: false, tags: [this.#pick(TAGS)] }
    const mayName = async (digest: string): Promise<boolean> =>
      (await this.#membership.find(REPOSITORY, digest)) !== undefined
    const result = await putManifest(this.#store, put, { mayName, maxWaitMs: MAX_WAIT_MS })
    if (result.kind === 'published') return { work: 'publish' }
    // What was claimed is kept for half of a link's life at least.
    const isLate = Date.now() - began > LINK_LIFE_MS / 2
    const message = `it lacks ${result.missing.join(', ')}`
    return { work: 'publish', failure: isLate ? 'LATE' : 'BLOB_UNKNOWN', message }
  }

  /** Throws where bytes of a rival could have become a part of the blob. */
  async #send(digest: string, content: Uint8Array): Promise<Sent> {
    if (this.#random() < 0.3) {
      await this.#uploads.putBlob(REPOSITORY, digest, Readable.from([content]))
      return 'stored'
    }
    const upload = await this.#uploads.begin(REPOSITORY)
    const ends = this.#cuts(content.byteLength)
    let offset = 0
    for (const end of ends) {
      const body = Readable.from([content.subarray(offset, end)])
      const added = await this.#uploads.append(upload, offset, body)
      if (added.kind === 'out-of-order') return this.#giveUp(upload)
      await this.#idle(MOST_BETWEEN_PIECES_MS)
      offset = end
    }
    const body = offset < content.byteLength ? Readable.from([content.subarray(offset)]) : undefined
    const finished = await this.#finish(upload, digest, { offset, body })
    if (finished.kind === 'out-of-order') return this.#giveUp(upload)
    const again = await this.#uploads.finish(upload, digest)
    if (again.kind !== 'stored')
      throw new Error(`${digest} is not stored when it is finished again`)
    return 'stored'
  }

  /** A rival that was the last to append has its bytes in the session: these are not the blob's. */
  async #finish(
    upload: UploadName,
    digest: string,
    options: Parameters<Uploads['finish']>[2],
  ): Promise<{ readonly kind: string }> {
    try {
      return await this.#uploads.finish(upload, digest, options)
    } catch (error) {
      if (!isS3loError(error, 'INTEGRITY')) throw error
      return { kind: 'out-of-order' }
    }
  }

  async #giveUp(upload: UploadName): Promise<Sent> {
    await this.#uploads.cancel(upload)
    return 'overtaken'
  }

  /** Where pieces end; the last bytes come with the end of the upload, or with the last piece. */
  #cuts(length: number): readonly number[] {
    const count = Math.floor(this.#random() * MOST_PIECES)
    const cuts = Array.from({ length: count }, () => Math.floor(this.#random() * length))
    if (this.#random() < 0.5) cuts.push(length)
    return [...new Set(cuts)].filter((cut) => cut > 0).toSorted((a, b) => a - b)
  }

  /** An upload that comes to nothing: it is cancelled, or left alone. */
  async #begun(isCancelled: boolean): Promise<Report> {
    const upload = await this.#uploads.begin(REPOSITORY)
    await this.#uploads.append(upload, 0, Readable.from([RIVAL]))
    if (!isCancelled) return { work: 'abandon' }
    await this.#uploads.cancel(upload)
    if (await this.#uploads.status(upload)) throw new Error('a cancelled upload is there')
    return { work: 'cancel' }
  }

  /** Appends at the end of an upload that another process is sending. */
  async #intrude(): Promise<Report> {
    const objects = await Array.fromAsync(this.#store.backend.list('.s3lo/uploads/'))
    const [newest] = objects.toSorted((a, b) => b.lastModified.getTime() - a.lastModified.getTime())
    if (!newest) return { work: 'rival', failure: 'ALONE' }
    const upload = { repository: REPOSITORY, id: newest.key.split('/')[2] ?? '' }
    const status = await this.#uploads.status(upload)
    if (!status) return { work: 'rival', failure: 'NOT_FOUND' }
    const { kind } = await this.#uploads.append(upload, status.offset, Readable.from([RIVAL]))
    return kind === 'appended' ? { work: 'rival' } : { work: 'rival', failure: 'OVERTAKEN' }
  }

  async #idle(most: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.#random() * most))
  }

  #pick<T>(items: readonly T[]): T {
    return pick(items, Math.floor(this.#random() * items.length))
  }
}
