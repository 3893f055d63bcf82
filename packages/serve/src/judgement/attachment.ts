import { holdsSignatures, isReferrerTag, type Manifest, type Reference } from '@s3lo/core'

/** Layers that a runtime unpacks or an installer installs, by how their media types begin. */
const CONTENT_TYPES = [
  'application/vnd.oci.image.layer.',
  'application/vnd.docker.image.rootfs.',
  'application/vnd.cncf.helm.chart.content.',
]

/**
 * True for what says something about an image and is none itself: a signature, an attestation, an
 * SBOM. It has a subject or a tag of cosign, and nothing that runs.
 */
export function isAttachment(manifest: Manifest, { tag = '' }: Pick<Reference, 'tag'>): boolean {
  if (manifest.kind === 'index') return false
  const isAbout = manifest.subject !== undefined || holdsSignatures(manifest) || isReferrerTag(tag)
  const parts = manifest.kind === 'artifact' ? manifest.blobs : manifest.layers
  return isAbout && !parts.some(({ mediaType }) => runs(mediaType))
}

function runs(mediaType: string): boolean {
  return CONTENT_TYPES.some((type) => mediaType.toLowerCase().startsWith(type))
}
