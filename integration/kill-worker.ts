/**
 * A process that changes one local store until it is killed or stopped: it reads pieces of {@link Work}, a line
 * of JSON each, and answers each with what it came to, or the error's code. Arguments: store root, and how long
 * pins and links live and are believed (milliseconds each).
 */
import { flushCompileCache } from 'node:module'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { openBackend } from '@s3lo/backend-local'
import {
  copy,
  deleteTag,
  ImageStore,
  type ImageStoreOptions,
  openUploads,
  push,
  restore,
  type UploadName,
} from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import { FixtureSource } from '@s3lo/core/testing'
import { CHUNKED_IMAGES, pick } from './soak-images.ts'

/** One change of a store, of {@link TAG} where it says no other. `image` is the number of an image in chunks. */
export type Work =
  | { readonly kind: 'push'; readonly image: number; readonly tag?: string }
  | { readonly kind: 'move'; readonly from: string }
  | { readonly kind: 'delete' }
  | { readonly kind: 'restore'; readonly digest: string }
  | { readonly kind: 'append'; readonly upload: UploadName; readonly piece: Piece }
  | { readonly kind: 'finish'; readonly upload: UploadName; readonly digest: string }

/** Bytes that say over and over whose they are. */
export interface Piece {
  readonly offset: number
  readonly size: number
  readonly text: string
}

/** Lives of what protects content (milliseconds). */
export interface Lives {
  readonly lifeMs: number
  readonly marginMs: number
}

export const IMAGE = 'app'
/** The tag that is worked on. */
export const TAG = 'v1'
export function contentOf({ size, text }: Piece): Buffer {
  return Buffer.alloc(size, text)
}

type Protection = NonNullable<ImageStoreOptions['protection']>

/** A local store and what is done in it. */
export class KilledStore {
  readonly store: ImageStore
  readonly #protection: Protection
  readonly #linkLifeMs: number | undefined

  private constructor(store: ImageStore, protection: Protection, linkLifeMs?: number) {
    this.store = store
    this.#protection = protection
    this.#linkLifeMs = linkLifeMs
  }

  static async open(root: string, lives?: Lives): Promise<KilledStore> {
    const backend = await openBackend({ scheme: 'local', bucket: root }, { env: {} })
    const protection = lives
      ? { ttlSeconds: lives.lifeMs / 1000, marginMs: lives.marginMs, pollMs: 50 }
      : {}
    return new KilledStore(new ImageStore(backend, { protection }), protection, lives?.lifeMs)
  }

  /** What an append came to; `ok` for all else. */
  async perform(work: Work): Promise<string> {
    const { scheme, bucket } = this.store.backend
    const to = { scheme, bucket, image: IMAGE, name: IMAGE, tag: TAG }
    switch (work.kind) {
      case 'push': {
        const source = new FixtureSource({ 'app:x': pick(CHUNKED_IMAGES, work.image) })
        const from = { source, reference: { name: 'app', tag: 'x' } }
        await push(from, this.store, { ...to, tag: work.tag ?? TAG })
        break
      }
      case 'move': {
        const from = { source: this.store, reference: { name: IMAGE, tag: work.from } }
        await copy(from, { target: this.store, reference: to })
        break
      }
      case 'delete':
        await deleteTag(this.store, to, { protection: this.#protection })
        break
      case 'restore':
        await restore(this.store, to, { digest: work.digest })
        break
      case 'append':
        return this.#append(work)
      case 'finish':
        await this.uploads().finish(work.upload, work.digest)
    }
    return 'ok'
  }

  async #append({ upload, piece }: Extract<Work, { kind: 'append' }>): Promise<string> {
    const body = Readable.from([contentOf(piece)])
    return (await this.uploads().append(upload, piece.offset, body)).kind
  }

  uploads(): ReturnType<typeof openUploads> {
    const { marginMs, pollMs } = this.#protection
    return openUploads(this.store.backend, { marginMs, pollMs, linkLifeMs: this.#linkLifeMs })
  }
}

async function serve([root = '', lifeMs, marginMs]: readonly string[]): Promise<void> {
  const lives = lifeMs === undefined ? undefined : { lifeMs: +lifeMs, marginMs: Number(marginMs) }
  const killed = await KilledStore.open(root, lives)
  process.stdout.write('ready\n')
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await killed
      .perform(JSON.parse(line))
      .catch((error: unknown) => (isS3loError(error) ? error.code : String(error)))
    process.stdout.write(`${answer}\n`)
    // The end of this process is a signal, which keeps nothing.
    flushCompileCache()
  }
}

if (process.argv[1] === import.meta.filename) await serve(process.argv.slice(2))
