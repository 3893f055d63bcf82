import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { Publication } from '../contract/image-target.ts'
import { S3loError } from '../errors.ts'

const MAX_ATTEMPTS = 3

/**
 * Puts again what a published image has lost to another program's collector, until nothing is
 * missing. Throws `UNAVAILABLE` where there is no source that can be read again, or no end of it.
 */
export async function restoreLost(
  publication: Publication,
  source: ImageSource | undefined,
  options: CallOptions,
): Promise<void> {
  const { signal } = options
  for (let attempt = 1; ; attempt++) {
    const lost = (await publication.lost?.({ signal })) ?? []
    const [first] = lost
    if (!first) return
    if (!source || attempt > MAX_ATTEMPTS) {
      throw new S3loError(
        'UNAVAILABLE',
        `${first.digest} was deleted by another program while the image was published`,
        { hint: 'run it again, while that program does not clean' },
      )
    }
    for (const descriptor of lost) {
      await publication.put(descriptor, () => source.fetch(descriptor, { signal }), { signal })
    }
  }
}
