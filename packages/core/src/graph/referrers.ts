import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError, S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { cosignTagsOf } from '../oci/referrer-tag.ts'
import { readManifest } from './read-manifest.ts'
import { isRefusedBeside } from './refusal.ts'

/** A manifest that refers to another one. */
export interface Referrer extends ManifestDocument {
  readonly subject: Descriptor
  /** cosign's tag (`sha256-<hex>.sig`) where that alone tells what it refers to. */
  readonly tag?: string
}

/** How referrers are looked for. */
export interface FindReferrersOptions extends CallOptions, ProgressOptions {
  /** A source that refuses to show what refers to an image is an error, not a notice. */
  readonly isStrict?: boolean | undefined
}

/** Listed referrers that are none and get a line each; the others are counted. */
const MAX_NOTICES = 10
/** Listed referrers that are none and are asked for; behind them, no list is followed. */
const MAX_LEFT_OUT = 250

/** What is asked about one manifest, from the first question on. */
interface Search {
  readonly list: AsyncGenerator<Descriptor>
  readonly first: Promise<IteratorResult<Descriptor>>
  readonly tagged: Promise<readonly { readonly tag: string; readonly descriptor?: Descriptor }[]>
}

/**
 * Finds what refers to the manifests of one repository: by the referrers API, and by cosign's tags.
 * Such tags are guesses: many a registry answers them in its own way, so that a refusal of one, while
 * the subject itself can be read, counts as none, and what it gives is believed only as far as it is
 * about the subject.
 */
export class ReferrerFinder {
  readonly #source: ImageSource
  readonly #repository: string
  readonly #options: FindReferrersOptions
  readonly #begun = new Map<string, Search>()
  #listedTags: Promise<ReadonlySet<string> | undefined> | undefined
  #leftOut = 0
  #refusal: string | undefined

  constructor(source: ImageSource, repository: string, options: FindReferrersOptions) {
    this.#source = source
    this.#repository = repository
    this.#options = options
  }

  /** What the source would not show, and was passed over; `undefined` where it showed everything. */
  get refusal(): string | undefined {
    return this.#refusal
  }

  /** Asks the first questions about a manifest that `find` is called for later. What they fail with it throws. */
  begin(subject: Descriptor): void {
    this.#begun.set(subject.digest, this.#search(subject, { signal: this.#options.signal }))
  }

  /**
   * Those of one manifest. One that is listed and not there, or that is about something else, is
   * left out, with a notice.
   */
  async *find(subject: Descriptor, signal?: AbortSignal): AsyncGenerator<Referrer, void> {
    const call = { signal: signal ?? this.#options.signal }
    const { list, first, tagged } = this.#begun.get(subject.digest) ?? this.#search(subject, call)
    this.#begun.delete(subject.digest)
    try {
      for (let next = await first; !next.done; next = await list.next()) {
        const read = await this.#read(next.value, subject, call)
        if (!read) continue
        if (read.manifest.subject?.digest === subject.digest) yield { ...read, subject }
        else this.#leaveOut('referrer-stranger', next.value, subject, 'does not')
      }
    } finally {
      await list.return(undefined)
    }
    for (const { tag, descriptor } of await tagged) {
      const read = descriptor && (await this.#read(descriptor, subject, call))
      const about = read?.manifest.subject?.digest ?? subject.digest
      if (read && about === subject.digest) yield { ...read, subject, tag }
    }
  }

  /** Asks for the list and for cosign's tags at once: the one takes as long as the other. */
  #search(subject: Descriptor, call: CallOptions): Search {
    const list = this.#list(subject, call)
    const first = list.next()
    const tagged = this.#tagged(subject, call)
    // Awaited one after the other, or never: until then a failure must not count as unhandled.
    for (const answer of [first, tagged]) answer.catch(() => {})
    return { list, first, tagged }
  }

  /** What cosign's tags of a manifest mean, if anything. */
  #tagged(subject: Descriptor, call: CallOptions): Search['tagged'] {
    // What has no tags, such as an archive of one image, may take any for that image's.
    const tags = this.#source.tags ? cosignTagsOf(subject.digest) : []
    return Promise.all(
      tags.map(async (tag) => {
        const descriptor = await this.#resolve(tag, subject, call)
        return { tag, ...(descriptor && { descriptor }) }
      }),
    )
  }

  /** To be called at the end: says how many of those that were left out got no line of their own. */
  close(): void {
    const untold = this.#leftOut - MAX_NOTICES
    if (untold <= 0) return
    const isCut = this.#leftOut >= MAX_LEFT_OUT
    const rest = isCut ? ', and what is listed behind them was not looked at' : ''
    const message = `${untold} more that are listed are missing or refer to something else${rest}`
    this.#tell('referrers-left-out', message)
  }

  /** What the source lists; a list that is refused ends there. */
  async *#list(subject: Descriptor, call: CallOptions): AsyncGenerator<Descriptor> {
    try {
      for await (const descriptor of this.#source.referrers?.(this.#repository, subject, call) ??
        []) {
        if (this.#leftOut >= MAX_LEFT_OUT) return this.#assertLenient(endlessList(subject))
        yield descriptor
      }
    } catch (error) {
      await this.#passOver(error, subject, call)
    }
  }

  async #read(
    descriptor: Descriptor,
    subject: Descriptor,
    call: CallOptions,
  ): Promise<ManifestDocument | undefined> {
    try {
      return await readManifest(this.#source, descriptor, {
        ...call,
        repository: this.#repository,
      })
    } catch (error) {
      // Registries keep listing what was deleted.
      if (isS3loError(error, 'NOT_FOUND')) {
        this.#leaveOut('referrer-missing', descriptor, subject, 'is missing')
      } else await this.#passOver(error, subject, call)
      return undefined
    }
  }

  async #resolve(
    tag: string,
    subject: Descriptor,
    call: CallOptions,
  ): Promise<Descriptor | undefined> {
    this.#listedTags ??= listTags(this.#source, this.#repository, this.#options)
    if ((await this.#listedTags)?.has(tag) === false) return undefined
    try {
      const found = await this.#source.resolve({ name: this.#repository, tag }, call)
      // A registry may take any tag for one of the image itself.
      return found.digest === subject.digest ? undefined : found
    } catch (error) {
      // What is no manifest is no signature either: some answer everything with a page.
      await this.#passOver(
        isS3loError(error, 'INTEGRITY') ? unreadable(error) : error,
        subject,
        call,
      )
      return undefined
    }
  }

  /** Throws the error, unless it is a refusal that the subject itself does not get. */
  async #passOver(error: unknown, subject: Descriptor, call: CallOptions): Promise<void> {
    call.signal?.throwIfAborted()
    if (isS3loError(error, 'NOT_FOUND')) return
    // A damaged record says nothing about the image, which is copied without it.
    const isDamaged = this.#source.hasReferrerRecords && isS3loError(error, 'INTEGRITY')
    if (!isDamaged && !(await this.#isRefusedBeside(error, subject, call))) throw withWayOut(error)
    if (!isS3loError(error)) throw error
    this.#assertLenient(error)
    if (this.#refusal !== undefined) return
    const what = `${this.#source.name} does not show all that refers to the image`
    this.#refusal = `${what} (${error.message})`
    const message = `${what}: signatures and SBOMs may have stayed behind (${error.message})`
    this.#tell('referrers-refused', message)
  }

  #isRefusedBeside(error: unknown, { digest }: Descriptor, call: CallOptions): Promise<boolean> {
    const reference = { name: this.#repository, digest }
    return isRefusedBeside(error, () => this.#source.resolve(reference, call))
  }

  #assertLenient(error: S3loError): void {
    if (this.#options.isStrict) throw withWayOut(error)
  }

  #leaveOut(code: string, { digest }: Descriptor, subject: Descriptor, why: string): void {
    this.#leftOut += 1
    if (this.#leftOut > MAX_NOTICES) return
    this.#tell(code, `${digest}, which is said to refer to ${subject.digest}, ${why}`)
  }

  #tell(code: string, message: string): void {
    this.#options.onProgress?.({ type: 'notice', code, message })
  }
}

/** The error with a hint at how the image can be copied all the same. */
export function withWayOut(error: unknown): unknown {
  if (!isS3loError(error) || error.hint?.includes(WAY_OUT)) return error
  const hint = error.hint === undefined ? WAY_OUT : `${error.hint}, or ${WAY_OUT}`
  return new S3loError(error.code, error.message, { hint, cause: error })
}

const WAY_OUT = 'pass --referrers none to copy the image alone'

function unreadable(error: S3loError): S3loError {
  return new S3loError('UNSUPPORTED', error.message, { hint: error.hint, cause: error })
}

/** The error for a manifest with too many referrers. */
export function endlessList({ digest }: Descriptor): S3loError {
  return new S3loError('INTEGRITY', `too many referrers of ${digest}, or too many levels of them`, {
    hint: WAY_OUT,
  })
}

/** Asked for once, for all manifests: for a store, each question would be two requests. */
async function listTags(
  source: ImageSource,
  repository: string,
  { signal }: CallOptions,
): Promise<ReadonlySet<string> | undefined> {
  const tags = source.referrerTags?.(repository, { signal })
  return tags && new Set(await Array.fromAsync(tags))
}
