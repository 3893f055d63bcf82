import { parseDigest } from './digest.ts'

/** What cosign adds to the tag of a digest for its signatures, attestations and SBOMs. */
const SUFFIXES = ['sig', 'att', 'sbom'] as const

/** What the tag of a referrer begins with. */
export const REFERRER_TAG_START = 'sha'

const REFERRER_TAG = /^sha(?:256|512)-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?$/

/**
 * The tags under which cosign keeps what it says about a manifest where it uses no referrers:
 * `sha256-<hex>.sig`, `.att` and `.sbom`. None for a digest that is too long for a tag.
 */
export function cosignTagsOf(digest: string): readonly string[] {
  const { algorithm, hex } = parseDigest(digest)
  return algorithm === 'sha256' ? SUFFIXES.map((suffix) => `sha256-${hex}.${suffix}`) : []
}

/**
 * The tag under which clients keep the index of what refers to a digest, where a registry has no
 * referrers API (OCI distribution spec v1.1.1, "referrers tag schema").
 */
export function referrersTagOf(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${algorithm}-${hex.slice(0, 64)}`
}

/**
 * True for a tag that names no image but what refers to one: cosign's, and the index of referrers
 * of a registry without the referrers API (OCI distribution spec v1.1.1, "referrers tag schema").
 */
export function isReferrerTag(tag: string): boolean {
  return REFERRER_TAG.test(tag)
}

/** The hex digits of the digest that the tag of a referrer is about, as many as the tag has. */
export function subjectOf(tag: string): string {
  return /-([0-9a-f]+)/.exec(tag)?.[1] ?? ''
}
