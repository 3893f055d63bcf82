import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { Publication } from '../contract/image-target.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { GraphPlan } from './plan.ts'

const LOOKUPS_AT_ONCE = 16

/** A part of an image that the target has not; `undefined` where it is whole. */
export async function firstMissing(
  publication: Publication,
  plan: GraphPlan,
  options: CallOptions,
): Promise<Descriptor | undefined> {
  let missing: Descriptor | undefined
  await forEachConcurrent(
    [...plan.blobs, ...plan.documents],
    LOOKUPS_AT_ONCE,
    async ({ descriptor }, signal) => {
      if (!missing && !(await publication.has(descriptor, { signal }))) missing ??= descriptor
    },
    options.signal,
  )
  return missing
}
