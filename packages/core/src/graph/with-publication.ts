import type { BeginOptions, Publication } from '../contract/image-target.ts'

/** Runs `write` on a new publication of the target, and releases it in the end. */
export async function withPublication<P extends Publication, T>(
  target: { begin(options?: BeginOptions): P },
  options: BeginOptions,
  write: (publication: P) => Promise<T>,
): Promise<T> {
  const publication = target.begin(options)
  try {
    return await write(publication)
  } finally {
    await publication.release?.()
  }
}
