import {
  type Algorithm,
  artifactOf,
  type Descriptor,
  descriptorOf,
  digestOf,
  DOCKER_MEDIA,
  type Document,
  documentOf,
  EMPTY_JSON,
  imageOf,
  MEDIA,
  randomBlob,
  unknownDigest,
} from './content.ts'
import type { Feature } from './feature.ts'

/** A manifest of a data set, and the tag that it is pushed under. */
interface TaggedDocument {
  readonly document: Document
  readonly tag?: string
}

/** Content that belongs together: pushed, listed, read and deleted as one. */
export interface DataSet {
  readonly blobs: readonly Buffer[]
  /** Children first. */
  readonly manifests: readonly TaggedDocument[]
  /** What refers to a subject, by the subject's digest. */
  readonly referrers?: ReadonlyMap<string, readonly Descriptor[]>
  readonly algorithm?: Algorithm
}

/** How a data set comes to be: anew for each run. */
export interface DataSetKind {
  readonly name: string
  readonly needs: readonly Feature[]
  readonly make: () => DataSet
}

const PLATFORMS = ['amd64', 'arm64'] as const
/** About as much as a registry has to take: 4 MB (distribution-spec, "Pushing manifests"). */
const LARGE = { annotations: 390, bytes: 10_000 }

function image(value: Readonly<Record<string, unknown>> = {}, tag = 'image'): DataSet {
  const { document, blobs } = imageOf(value)
  return { blobs, manifests: [{ document, tag }] }
}

function uncompressed(): DataSet {
  const [config, layer] = [Buffer.from('{"architecture":"amd64","os":"linux"}'), randomBlob(1024)]
  const document = documentOf(MEDIA.manifest, {
    config: descriptorOf(MEDIA.config, config),
    layers: [descriptorOf(MEDIA.tarLayer, layer)],
  })
  return { blobs: [config, layer], manifests: [{ document, tag: 'uncompressed' }] }
}

function largeManifest(): DataSet {
  const filler = 'x'.repeat(LARGE.bytes)
  const annotations = Object.fromEntries(
    Array.from({ length: LARGE.annotations }, (_, at) => [`org.example.${at}`, filler]),
  )
  return image({ annotations }, 'large')
}

/** An index of an image for each platform. */
function index(
  value: Readonly<Record<string, unknown>> = {},
  tag = 'index',
): DataSet & { readonly root: Document } {
  const images = PLATFORMS.map((architecture) => ({ ...imageOf(), architecture }))
  const manifests = images.map(({ document, architecture }) =>
    descriptorOf(MEDIA.manifest, document.bytes, { platform: { os: 'linux', architecture } }),
  )
  const root = documentOf(MEDIA.index, { manifests, ...value })
  return {
    root,
    blobs: images.flatMap(({ blobs }) => blobs),
    manifests: [
      ...images.map(({ document, architecture }) => ({ document, tag: `${tag}-${architecture}` })),
      { document: root, tag },
    ],
  }
}

function nestedIndex(): DataSet {
  const inner = index({}, 'inner')
  const root = documentOf(MEDIA.index, { manifests: [descriptorOf(MEDIA.index, inner.root.bytes)] })
  return { ...inner, manifests: [...inner.manifests, { document: root, tag: 'nested' }] }
}

function emptyIndex(): DataSet {
  return {
    blobs: [],
    manifests: [{ document: documentOf(MEDIA.index, { manifests: [] }), tag: 'index' }],
  }
}

function artifact(): DataSet {
  const { document, blobs } = artifactOf('application/vnd.example.artifact')
  return { blobs, manifests: [{ document, tag: 'artifact' }] }
}

function artifactIndex(): DataSet {
  const members = PLATFORMS.map(() => artifactOf('application/vnd.example.member'))
  const root = documentOf(MEDIA.index, {
    artifactType: 'application/vnd.example.list',
    manifests: members.map(({ document }) => document.descriptor),
  })
  return {
    blobs: [EMPTY_JSON, ...members.flatMap(({ blobs }) => blobs.slice(1))],
    manifests: [
      ...members.map(({ document }, at) => ({ document, tag: `member-${at}` })),
      { document: root, tag: 'artifacts' },
    ],
  }
}

function artifactWithoutLayers(): DataSet {
  const empty = descriptorOf(MEDIA.empty, EMPTY_JSON)
  const document = documentOf(MEDIA.manifest, {
    artifactType: 'application/vnd.example.alone',
    config: empty,
    layers: [empty],
    annotations: { 'org.example': 'all of it' },
  })
  return { blobs: [EMPTY_JSON], manifests: [{ document, tag: 'alone' }] }
}

function subjectOf({ descriptor: { mediaType, digest, size } }: Document): Descriptor {
  return { mediaType, digest, size }
}

function withSubject(): DataSet {
  const root = imageOf()
  const subject = subjectOf(root.document)
  const referrers = ['one', 'two'].map((name) =>
    artifactOf(`application/vnd.example.${name}`, { subject, annotations: { name } }),
  )
  return {
    blobs: [...root.blobs, EMPTY_JSON, ...referrers.flatMap(({ blobs }) => blobs.slice(1))],
    manifests: [
      { document: root.document, tag: 'subject' },
      ...referrers.map(({ document }, at) => ({ document, tag: `referrer-${at}` })),
    ],
    referrers: new Map([[subject.digest, referrers.map(({ document }) => document.descriptor)]]),
  }
}

function indexWithSubject(): DataSet {
  const about = index({}, 'about')
  const subject = subjectOf(about.root)
  const artifactType = 'application/vnd.example.about'
  const referrer = index({ subject, artifactType, annotations: { a: 'b' } }, 'referrer')
  return {
    blobs: [...about.blobs, ...referrer.blobs],
    manifests: [...about.manifests, ...referrer.manifests],
    referrers: new Map([[subject.digest, [referrer.root.descriptor]]]),
  }
}

function missingSubject(): DataSet {
  const subject = { mediaType: MEDIA.manifest, digest: unknownDigest(), size: 1234 }
  const { document, blobs } = artifactOf('application/vnd.example.orphan', { subject })
  return {
    blobs,
    manifests: [{ document, tag: 'orphan' }],
    referrers: new Map([[subject.digest, [document.descriptor]]]),
  }
}

function dataField(): DataSet {
  const layer = randomBlob(64)
  const inline = (mediaType: string, bytes: Buffer): Descriptor =>
    descriptorOf(mediaType, bytes, { data: bytes.toString('base64') })
  const document = documentOf(MEDIA.manifest, {
    artifactType: 'application/vnd.example.inline',
    config: inline(MEDIA.empty, EMPTY_JSON),
    layers: [inline('application/octet-stream', layer)],
  })
  return { blobs: [EMPTY_JSON, layer], manifests: [{ document, tag: 'inline' }] }
}

function foreignLayers(): DataSet {
  const { blobs, document } = imageOf()
  const { config, layers } = JSON.parse(document.bytes.toString()) as Record<string, Descriptor[]>
  const foreign = [0, 1].map((at) =>
    descriptorOf(MEDIA.foreignLayer, randomBlob(), { urls: [`https://layers.example.org/${at}`] }),
  )
  const whole = documentOf(MEDIA.manifest, { config, layers: [...foreign, ...(layers ?? [])] })
  return { blobs, manifests: [{ document: whole, tag: 'foreign' }] }
}

function customFields(): DataSet {
  const custom = { 'org.example.custom': { list: [1, 'two', null], deep: { er: true } } }
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', ...custom }))
  const layer = randomBlob()
  const document = documentOf(MEDIA.manifest, {
    config: { ...descriptorOf(MEDIA.config, config), ...custom },
    layers: [{ ...descriptorOf(MEDIA.layer, layer), ...custom }],
    ...custom,
  })
  const manifests = [{ ...descriptorOf(MEDIA.manifest, document.bytes), ...custom }]
  const root = documentOf(MEDIA.index, { manifests, ...custom })
  return {
    blobs: [config, layer],
    manifests: [
      { document, tag: 'custom' },
      { document: root, tag: 'custom-index' },
    ],
  }
}

function noLayers(): DataSet {
  const [config] = imageOf().blobs
  const bytes = config ?? EMPTY_JSON
  const value = { config: descriptorOf(MEDIA.config, bytes), layers: [] }
  return {
    blobs: [bytes],
    manifests: [{ document: documentOf(MEDIA.manifest, value), tag: 'bare' }],
  }
}

/** A manifest list of an image, in the media types of Docker. */
function dockerList(): DataSet {
  const platform = { os: 'linux', architecture: 'amd64' }
  const [config, layer] = [Buffer.from(JSON.stringify(platform)), randomBlob()]
  const document = documentOf(DOCKER_MEDIA.manifest, {
    config: descriptorOf(DOCKER_MEDIA.config, config),
    layers: [descriptorOf(DOCKER_MEDIA.layer, layer)],
  })
  const manifests = [descriptorOf(DOCKER_MEDIA.manifest, document.bytes, { platform })]
  const list = documentOf(DOCKER_MEDIA.list, { manifests })
  return {
    blobs: [config, layer],
    manifests: [
      { document, tag: 'docker' },
      { document: list, tag: 'docker-list' },
    ],
  }
}

function sparse(): DataSet {
  const { blobs, document } = imageOf()
  const { config } = JSON.parse(document.bytes.toString()) as { config: Descriptor }
  const layers = [{ mediaType: MEDIA.layer, digest: unknownDigest(), size: 512 }]
  const lacking = documentOf(MEDIA.manifest, { config, layers })
  const manifests = [
    descriptorOf(MEDIA.manifest, lacking.bytes),
    { mediaType: MEDIA.manifest, digest: unknownDigest(), size: 512 },
  ]
  return {
    blobs,
    manifests: [
      { document: lacking, tag: 'sparse' },
      { document: documentOf(MEDIA.index, { manifests }), tag: 'sparse-index' },
    ],
  }
}

/** Everything is named by sha512; no tag, which could be resolved to another digest. */
function sha512(): DataSet {
  const [config, layer] = [Buffer.from('{"architecture":"amd64","os":"linux"}'), randomBlob()]
  const document = documentOf(
    MEDIA.manifest,
    {
      config: descriptorOf(MEDIA.config, config, {}, 'sha512'),
      layers: [descriptorOf(MEDIA.layer, layer, {}, 'sha512')],
    },
    'sha512',
  )
  return { blobs: [config, layer], manifests: [{ document }], algorithm: 'sha512' }
}

export const DATA_SETS: readonly DataSetKind[] = [
  { name: 'image', needs: [], make: image },
  { name: 'uncompressed image', needs: [], make: uncompressed },
  { name: 'large manifest', needs: ['large-manifest'], make: largeManifest },
  { name: 'index', needs: ['index'], make: index },
  { name: 'nested index', needs: ['index'], make: nestedIndex },
  { name: 'empty index', needs: ['index', 'empty-index'], make: emptyIndex },
  { name: 'artifact', needs: ['artifact'], make: artifact },
  { name: 'index of artifacts', needs: ['artifact', 'index'], make: artifactIndex },
  { name: 'artifact without layers', needs: ['artifact'], make: artifactWithoutLayers },
  { name: 'artifacts with a subject', needs: ['artifact', 'subject'], make: withSubject },
  { name: 'index with a subject', needs: ['index', 'subject'], make: indexWithSubject },
  {
    name: 'artifact whose subject is missing',
    needs: ['artifact', 'subject'],
    make: missingSubject,
  },
  { name: 'data field', needs: ['data-field', 'artifact'], make: dataField },
  { name: 'foreign layers', needs: ['foreign-layers'], make: foreignLayers },
  { name: 'custom fields', needs: ['custom-fields', 'index'], make: customFields },
  { name: 'image without layers', needs: ['no-layers'], make: noLayers },
  { name: 'Docker image and manifest list', needs: ['docker-types'], make: dockerList },
  { name: 'sparse image and index', needs: ['sparse', 'index'], make: sparse },
  { name: 'sha512', needs: ['sha512'], make: sha512 },
]

/** The digest of a data set's blob. */
export function blobDigest(set: DataSet, blob: Buffer): string {
  return digestOf(blob, set.algorithm)
}
