/** A version of the OCI distribution specification; `dev` is what follows 1.1. */
export type SpecVersion = '1.0' | '1.1' | 'dev'

interface FeatureFacts {
  /** The first version that has it. */
  readonly since: SpecVersion
  /** True where a registry that lacks it conforms nevertheless. */
  readonly optional: boolean
  /** What a registry with it does. */
  readonly title: string
}

/** What a registry may lack. The names are those of `--without` and `--with`. */
const FACTS = {
  push: { since: '1.0', optional: false, title: 'takes blobs and manifests' },
  'single-post': { since: '1.0', optional: true, title: 'takes a blob with one POST' },
  mount: { since: '1.0', optional: true, title: 'mounts blobs of another repository' },
  'mount-anonymous': { since: '1.1', optional: true, title: 'mounts blobs without a `from`' },
  range: { since: '1.0', optional: true, title: 'answers to a Range of a blob' },
  'blob-delete': { since: '1.0', optional: true, title: 'deletes blobs' },
  'manifest-delete': { since: '1.0', optional: true, title: 'deletes manifests' },
  'tag-delete': { since: '1.0', optional: true, title: 'deletes tags' },
  'delete-atomic': { since: '1.0', optional: true, title: 'shows no deleted content from then on' },
  'tag-list': { since: '1.0', optional: false, title: 'lists tags' },
  'tag-pages': { since: '1.0', optional: false, title: 'lists tags in order, in pages' },
  referrers: { since: '1.1', optional: false, title: 'lists referrers' },
  'referrers-filter': { since: '1.1', optional: true, title: 'filters referrers by artifact type' },
  'blob-digest-header': { since: 'dev', optional: false, title: 'names the digest of a blob' },
  'manifest-digest-header': { since: 'dev', optional: false, title: 'names a manifest’s digest' },
  'upload-cancel': { since: 'dev', optional: false, title: 'cancels uploads' },
  'tag-parameter': { since: 'dev', optional: false, title: 'tags a manifest by `?tag=`' },
  'digest-algorithm': { since: 'dev', optional: false, title: 'takes `?digest-algorithm=`' },
  index: { since: '1.0', optional: false, title: 'takes indexes' },
  artifact: { since: '1.1', optional: false, title: 'takes manifests with `artifactType`' },
  subject: { since: '1.1', optional: false, title: 'takes manifests with a `subject`' },
  'large-manifest': { since: '1.0', optional: true, title: 'takes manifests of 4 MB' },
  'data-field': { since: '1.0', optional: false, title: 'takes descriptors with `data`' },
  'foreign-layers': { since: '1.0', optional: false, title: 'takes layers that it does not hold' },
  'custom-fields': { since: '1.0', optional: false, title: 'keeps unknown fields' },
  'docker-types': { since: '1.0', optional: true, title: 'takes the media types of Docker' },
  'no-layers': { since: '1.0', optional: false, title: 'takes images without layers' },
  'empty-index': { since: '1.0', optional: false, title: 'takes indexes without manifests' },
  'empty-blob': { since: '1.0', optional: false, title: 'takes blobs of 0 bytes' },
  sha512: { since: '1.1', optional: true, title: 'takes digests of sha512' },
  sparse: { since: '1.1', optional: true, title: 'takes manifests whose parts are missing' },
  conditions: { since: '1.0', optional: true, title: 'has ETags and obeys conditions' },
  catalog: { since: '1.0', optional: true, title: 'lists its repositories' },
  'put-replay': { since: '1.0', optional: true, title: 'takes the PUT of an upload twice' },
  resume: { since: '1.0', optional: true, title: 'keeps an upload whose chunk was cut off' },
  'one-writer': { since: '1.0', optional: true, title: 'takes one of two chunks for one place' },
  'error-codes': { since: '1.0', optional: true, title: 'says the code of the specification' },
} as const satisfies Readonly<Record<string, FeatureFacts>>

export type Feature = keyof typeof FACTS

/** Every feature, in the order of the specification. */
export const FEATURES = Object.keys(FACTS) as readonly Feature[]

/** Not tested unless `with` names them: the specification lets a registry refuse them. */
const OFF_BY_DEFAULT: ReadonlySet<Feature> = new Set<Feature>(['sparse', 'digest-algorithm'])

const ORDER: readonly SpecVersion[] = ['1.0', '1.1', 'dev']

export function isSpecVersion(text: string): text is SpecVersion {
  return (ORDER as readonly string[]).includes(text)
}

export function isFeature(text: string): text is Feature {
  return Object.hasOwn(FACTS, text)
}

export function featureFacts(feature: Feature): FeatureFacts {
  return FACTS[feature]
}

/** What a registry is declared to have. */
export interface Declaration {
  readonly version: SpecVersion
  readonly with: ReadonlySet<Feature>
  readonly without: ReadonlySet<Feature>
}

/** Why a feature is not tested; nothing where it is. */
export function reasonAgainst(feature: Feature, declared: Declaration): string | undefined {
  const { since, title } = FACTS[feature]
  if (declared.without.has(feature)) return `declared absent: ${feature} (${title})`
  if (declared.with.has(feature)) return undefined
  if (OFF_BY_DEFAULT.has(feature)) return `not declared: ${feature} (${title})`
  const isNewer = ORDER.indexOf(since) > ORDER.indexOf(declared.version)
  return isNewer ? `version ${since} has it: ${feature} (${title})` : undefined
}
