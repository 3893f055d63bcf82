import {
  formatImageName,
  type ImageStore,
  isS3loError,
  type ManifestDocument,
  type Membership,
  parseDocument,
  RecentMap,
  type Reference,
  formatReference,
  SIGNED_CHECK,
  type ValidationTools,
} from '@s3lo/core'
import { type CallOptions, type PolicyRule, SingleFlight } from '@s3lo/core/plugin'
import { Refusal } from '../answer/error.ts'
import type { ManifestReader, ServedManifest } from '../manifest-reader.ts'
import { isAttachment } from './attachment.ts'
import { withinTime } from './within-time.ts'

/** For whom images are signed. */
export interface Verification {
  /** Of one key each; one that passes is enough. */
  readonly rules: readonly PolicyRule[]
  /** Has the check of signatures. */
  readonly tools: ValidationTools
  /** The process's clock (milliseconds). */
  readonly now?: (() => number) | undefined
}

/** A judgement, until it has to be made again. */
interface Verdict {
  /** Why the image is not verified; `undefined` for one that is. */
  readonly reason: string | undefined
  /** By the clock of {@link Verification.now}. */
  readonly until: number
}

/** The root by which something is served by its digest. */
interface Proof {
  readonly reference: Reference
  readonly digest: string
  readonly until: number
}

/** How long a signature that was found counts without a look: one that is withdrawn is served so long. */
const VERIFIED_MS = 30_000
/** A signature that was not there may be made any moment. */
const REFUSED_MS = 2_000
const MAX_VERDICTS = 10_000
const MAX_PROOFS = 20_000
/** What a judgement may take (milliseconds): a client waits. */
const PATIENCE_MS = 20_000

/**
 * Lets only images be answered that one of the keys signed. A tag is judged by the signature of this
 * very tag, not by that of another one with the same manifest. What is asked for by digest is judged
 * by the tags and digests of the repository that it is a part of. Attachments are no images.
 */
export class VerifiedImages {
  readonly #store: ImageStore
  readonly #manifests: ManifestReader
  readonly #membership: Membership
  readonly #verification: Verification
  readonly #now: () => number
  /** By image name and digest: a tag that is moved is another image. */
  readonly #verdicts = new RecentMap<string, Verdict>(MAX_VERDICTS)
  readonly #judging = new SingleFlight<Verdict>()
  /** By repository and digest. */
  readonly #proofs = new RecentMap<string, Proof>(MAX_PROOFS)

  constructor(
    { store, manifests, membership }: JudgedStore,
    { now = Date.now, ...verification }: Verification,
  ) {
    this.#store = store
    this.#manifests = manifests
    this.#membership = membership
    this.#verification = verification
    this.#now = now
  }

  /** Throws a refusal (`DENIED`) for a manifest that is neither verified nor part of what is. */
  async assertManifest(
    reference: Reference,
    found: ServedManifest,
    { signal }: CallOptions,
  ): Promise<void> {
    const document = documentOf(reference, found)
    if (isAttachment(document.manifest, reference)) return
    const { digest } = reference
    if (digest !== undefined) return this.assertPart(reference.name, digest, { signal })
    const { reason } = await withinTime(
      (inner) => this.#judge(reference, document, { signal: inner }),
      PATIENCE_MS,
      signal,
    )
    if (reason === undefined) return
    throw new Refusal('DENIED', `${formatImageName(reference)} is not verified: ${reason}`)
  }

  /** Throws a refusal (`DENIED`) for content that is no part of a verified image of the repository. */
  async assertPart(repository: string, digest: string, { signal }: CallOptions): Promise<void> {
    const isPart = await withinTime(
      (inner) => this.#isPart(repository, digest, { signal: inner }),
      PATIENCE_MS,
      signal,
    )
    if (isPart) return
    throw new Refusal('DENIED', `${digest} is part of no verified image of ${repository}`)
  }

  async #isPart(repository: string, digest: string, options: CallOptions): Promise<boolean> {
    const name = `${repository}@${digest}`
    const known = this.#proofs.get(name)
    if (known && this.#now() < known.until) return true
    const again = known && (await this.#prove(known.reference, known.digest, options))
    if (again) this.#proofs.set(name, again)
    if (again) return true
    this.#proofs.delete(name)
    for await (const root of this.#membership.roots(repository, digest, options)) {
      const named = root.tag === undefined ? { digest: root.digest } : { tag: root.tag }
      const proof = await this.#prove({ name: repository, ...named }, root.digest, options)
      if (!proof) continue
      this.#proofs.set(name, proof)
      return true
    }
    return false
  }

  /** `undefined` where the root names something else by now, or is not verified. */
  async #prove(
    reference: Reference,
    digest: string,
    options: CallOptions,
  ): Promise<Proof | undefined> {
    const found = await this.#manifests.read(reference, options)
    if (found?.digest !== digest) return undefined
    const document = documentOf(reference, found)
    const until = this.#now() + VERIFIED_MS
    if (isAttachment(document.manifest, reference)) return { reference, digest, until }
    const verdict = await this.#judge(reference, document, options)
    return verdict.reason === undefined ? { reference, digest, until: verdict.until } : undefined
  }

  async #judge(
    reference: Reference,
    root: ManifestDocument,
    { signal }: CallOptions,
  ): Promise<Verdict> {
    const name = `${formatImageName(reference)} ${root.descriptor.digest}`
    const known = this.#verdicts.get(name)
    if (known && this.#now() < known.until) return known
    return this.#judging.run(name, signal, async (inner) => {
      const reason = await this.#reasonAgainst(reference, root, { signal: inner })
      const patience = reason === undefined ? VERIFIED_MS : REFUSED_MS
      const verdict = { reason, until: this.#now() + patience }
      this.#verdicts.set(name, verdict)
      return verdict
    })
  }

  /** Throws what a key threw that could not be asked, unless another one signed the image. */
  async #reasonAgainst(
    reference: Reference,
    root: ManifestDocument,
    options: CallOptions,
  ): Promise<string | undefined> {
    const { rules } = this.#verification
    const reasons = new Set<string>()
    const failures: unknown[] = []
    for (const rule of rules) {
      try {
        const { passed, message = 'it is not signed' } = await this.#ask(
          rule,
          { reference, root },
          options,
        )
        if (passed) return undefined
        reasons.add(message)
      } catch (error) {
        if (!isS3loError(error)) throw error
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
    return [...reasons].join('; ')
  }

  async #ask(
    rule: PolicyRule,
    { reference, root }: { readonly reference: Reference; readonly root: ManifestDocument },
    { signal }: CallOptions,
  ): Promise<{ readonly passed: boolean; readonly message?: string }> {
    const { scheme, bucket } = this.#store.backend
    const { env, findCheck } = this.#verification.tools
    const check = await findCheck(SIGNED_CHECK)
    const place = { scheme, bucket, ...reference }
    const subject = {
      name: formatReference(place),
      reference: place,
      root,
      source: this.#store,
      publishedAt: undefined,
    }
    return check.checkPolicy(rule, subject, {
      env,
      now: new Date(this.#now()),
      settings: {},
      signal,
    })
  }
}

interface JudgedStore {
  readonly store: ImageStore
  readonly manifests: ManifestReader
  readonly membership: Membership
}

function documentOf(reference: Reference, found: ServedManifest): ManifestDocument {
  const { content, digest } = found
  const given = reference.digest === undefined ? {} : { digest }
  return parseDocument(content, formatImageName(reference), given)
}
