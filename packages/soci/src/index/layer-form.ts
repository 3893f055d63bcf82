import { type Descriptor, MEDIA_TYPE } from '@s3lo/core'
import { sociPrefetchMediaType } from './soci-index.ts'

/** What a layer's media type says of indexing it. */
export type LayerForm =
  | { readonly kind: 'indexable'; readonly algorithm: 'gzip' | 'uncompressed' | 'auto' }
  | { readonly kind: 'skipped'; readonly reason: string }
  | { readonly kind: 'not-a-layer' }

const OCI_PREFIX = 'application/vnd.oci.image.layer.'

const DOCKER_TYPES: Readonly<Record<string, LayerForm>> = {
  // Some builders call gzip this: the first bytes decide.
  [MEDIA_TYPE.dockerLayer]: { kind: 'indexable', algorithm: 'auto' },
  'application/vnd.docker.image.rootfs.foreign.diff.tar': { kind: 'indexable', algorithm: 'auto' },
  [MEDIA_TYPE.dockerLayerGzip]: { kind: 'indexable', algorithm: 'gzip' },
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip': {
    kind: 'indexable',
    algorithm: 'gzip',
  },
  [`${MEDIA_TYPE.dockerLayer}.zstd`]: { kind: 'skipped', reason: 'zstd cannot be indexed' },
}

/** Tells from a layer's media type whether and how it can be indexed. */
export function layerForm({ mediaType }: Pick<Descriptor, 'mediaType'>): LayerForm {
  if (mediaType === sociPrefetchMediaType) return skipped('a prefetch list is not a layer')
  const [base = '', ...suffixes] = mediaType.split('+')
  const docker = Object.hasOwn(DOCKER_TYPES, base) ? DOCKER_TYPES[base] : undefined
  if (docker) return suffixes.length === 0 ? docker : skipped(`${mediaType} cannot be indexed`)
  if (!base.startsWith(OCI_PREFIX)) return { kind: 'not-a-layer' }
  if (suffixes.includes('encrypted')) return skipped('an encrypted layer cannot be indexed')
  const compression = suffixes.toSorted().at(-1)
  if (compression === 'gzip') return { kind: 'indexable', algorithm: 'gzip' }
  if (compression === undefined && base === MEDIA_TYPE.ociLayer) {
    return { kind: 'indexable', algorithm: 'uncompressed' }
  }
  return skipped(`${mediaType} cannot be indexed`)
}

function skipped(reason: string): LayerForm {
  return { kind: 'skipped', reason }
}
