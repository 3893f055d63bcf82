import type { Readable } from 'node:stream'
import type { AttachOptions, AttachPlace, ImageTarget } from '../contract/image-target.ts'
import { withPublication } from '../graph/with-publication.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'

/** Attaches a referrer in a publication of its own. */
export function attachReferrer(
  target: ImageTarget,
  referrer: ManifestDocument,
  place: AttachPlace,
  open: (blob: Descriptor) => Promise<Readable>,
  options?: AttachOptions,
): Promise<void> {
  return withPublication(target, {}, async (publication) =>
    publication.attach?.(referrer, place, open, options),
  )
}
