import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { nameOf } from '../gc/name-set.ts'
import { Others } from '../gc/others.ts'
import { boundedDelay, defaultDelay, type ParticipantOptions } from '../gc/participant.ts'
import { RoundWatch } from '../gc/rounds-in-progress.ts'
import { continuesCover } from '../gc/steps.ts'
import { StoreClock } from '../gc/store-clock.ts'
import {
  assertRepository,
  linkKey,
  type LinkName,
  linksPrefix,
  parseLinkKey,
} from '../layout/repository-keys.ts'

/** How long a link protects what it names (milliseconds), by the store's clock. */
const LINK_LIFE_MS = 24 * 3_600_000

/** A link's life may be shorter by this (milliseconds), for a clock of this machine that is behind. */
const TOLERANCE_MS = 60_000

/** What operations of a repository can be told. */
export interface RepositoryOptions extends Omit<ParticipantOptions, 'signal' | 'ttlSeconds'> {
  /** Between two looks at a round that is waited for (milliseconds, default 2000). */
  readonly pollMs?: number | undefined
  /** How long a round is waited for in all (milliseconds, default without end); then `UNAVAILABLE`. */
  readonly maxWaitMs?: number | undefined
  /** This machine's time, milliseconds since 1970. */
  readonly now?: (() => number) | undefined
  /** How long links protect (milliseconds, a day at most, which is the default): for tests. */
  readonly linkLifeMs?: number | undefined
}

/**
 * When a link stops to protect (milliseconds since 1970, by the store's clock): as its name says, but
 * never later than a day after it was written.
 */
export function endOfLink({ expires }: Pick<LinkName, 'expires'>, written: Date): number {
  return Math.min(expires, written.getTime() + LINK_LIFE_MS)
}

/** A link as its key and size tell it. */
export interface Link {
  readonly key: string
  /** By the store's clock, milliseconds since 1970, as `end`. */
  readonly created: number
  readonly end: number
  /**
   * True once the client has shown that it may have the blob: it sent the bytes, or the blob was
   * its repository's, or that of one that it may read. Other links keep the blob and give nothing.
   */
  readonly isProven: boolean
}

/** What the clock of a store is ahead by (milliseconds), as the last link that was written to it told. */
const aheadOf = new WeakMap<StorageBackend, number>()

/** What a proven link holds, so that a listing tells it from others by its size. */
const PROVEN = new TextEncoder().encode('proven\n')

/**
 * The links of a store: each says that a client of a repository uploaded, mounted or looked for a
 * blob, and may name it for a day. A collector keeps what has a link.
 */
export class Links {
  readonly #backend: StorageBackend
  readonly #options: RepositoryOptions
  readonly #now: () => number
  readonly #lifeMs: number

  constructor(backend: StorageBackend, options: RepositoryOptions = {}) {
    this.#backend = backend
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#lifeMs = options.linkLifeMs ?? LINK_LIFE_MS
  }

  /**
   * Writes a link that gives nothing yet, unless the client has proven that it may have the blob, and
   * resolves once no collector can delete the blob any more: only what is looked for or written
   * after that counts. Gives the end of the link (milliseconds since 1970, by the store's clock). Throws
   * `UNAVAILABLE` where a collector takes longer than `maxWaitMs`.
   */
  async hold(
    repository: string,
    digest: string,
    { isProven = false, ...options }: CallOptions & { readonly isProven?: boolean } = {},
  ): Promise<number> {
    const content = isProven ? PROVEN : new Uint8Array()
    const { created, end } = await this.#write(repository, digest, content, options)
    await this.#waitForRounds(digest, created, options)
    return end
  }

  /**
   * Writes a link that makes the blob the repository's own for a day, to follow one of {@link hold} that
   * ends at `held`. False where that one had ended before: then a collector may have deleted the blob, and
   * can do so no more.
   */
  async prove(
    repository: string,
    digest: string,
    held: number,
    options: CallOptions = {},
  ): Promise<boolean> {
    const { created } = await this.#write(repository, digest, PROVEN, options)
    if (continuesCover({ expires: held }, created)) return true
    await this.#waitForRounds(digest, created, options)
    return false
  }

  /**
   * For a blob that is the repository's own: as {@link hold} and {@link prove}, but without a write
   * where a proven link has half of its life before it.
   */
  async renew(repository: string, digest: string, options: CallOptions = {}): Promise<void> {
    const enough = this.#time() + this.#lifeMs / 2
    for await (const { isProven, end, created } of this.list(repository, digest, options)) {
      // Its author may still be waiting for a round that was open before it.
      if (isProven && end >= enough) return this.#waitForRounds(digest, created, options)
    }
    await this.hold(repository, digest, { ...options, isProven: true })
  }

  /** True where a proven link is alive. One listing. */
  async has(repository: string, digest: string, options: CallOptions = {}): Promise<boolean> {
    for await (const { isProven, end } of this.list(repository, digest, options)) {
      if (isProven && end > this.#time()) return true
    }
    return false
  }

  /** The links of a blob, dead ones too. */
  async *list(
    repository: string,
    digest: string,
    options: CallOptions = {},
  ): AsyncGenerator<Link, void> {
    const prefix = linksPrefix(repository, digest)
    for await (const { key, size, lastModified } of this.#backend.list(prefix, options)) {
      const name = parseLinkKey(key)
      if (name?.repository !== repository || name.digest !== digest) continue
      const created = lastModified.getTime()
      const isProven = size === PROVEN.byteLength
      yield { key, created, end: endOfLink(name, lastModified), isProven }
    }
  }

  /** The store's time as far as it is known here. */
  #time(): number {
    return this.#now() + (aheadOf.get(this.#backend) ?? 0)
  }

  /** Returns the store's times of the link. Where a wrong clock gave it too short a life, it gets a successor. */
  async #write(
    repository: string,
    digest: string,
    content: Uint8Array,
    { signal }: CallOptions,
  ): Promise<Pick<Link, 'created' | 'end'>> {
    assertRepository(repository)
    for (let attempt = 1; attempt <= 2; attempt++) {
      const asked = this.#now()
      const expires = asked + (aheadOf.get(this.#backend) ?? 0) + this.#lifeMs
      const id = process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
      const { lastModified } = await this.#backend.put(
        linkKey({ repository, digest, expires, id }),
        content,
        { signal, size: content.byteLength, mediaType: 'text/plain' },
      )
      const created = lastModified.getTime()
      aheadOf.set(this.#backend, created - asked)
      if (expires >= created + this.#lifeMs - Math.min(TOLERANCE_MS, this.#lifeMs / 4)) {
        return { created, end: endOfLink({ expires }, lastModified) }
      }
    }
    throw new S3loError('UNAVAILABLE', 'the clock of this machine or of the store is being set', {
      hint: 'try again',
    })
  }

  async #waitForRounds(digest: string, now: number, { signal }: CallOptions): Promise<void> {
    const backend = this.#backend
    const { delay = defaultDelay, maxWaitMs = Infinity } = this.#options
    const { onProgress, pollMs = 2000 } = this.#options
    const clock = new StoreClock(backend, { onProgress })
    const others = new Others(backend, this.#options)
    const watch = new RoundWatch(backend, {
      clock,
      others,
      onProgress,
      delay: boundedDelay(delay, maxWaitMs, digest),
      pollMs,
    })
    try {
      const name = nameOf(digest)
      await watch.waitFor(await watch.contesting([name], now, { signal }), name, { signal })
    } finally {
      const keys = clock.keys()
      if (keys.length > 0) await backend.delete(keys)
    }
  }
}
