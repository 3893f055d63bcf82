import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import type { Protection, Publication } from './writer.ts'

/** A manifest that is published in this store and gets another tag. */
export interface Republication extends CallOptions {
  /** For errors: `image:tag`. */
  readonly name: string
  /** The manifest, as the source tag has it. */
  readonly content: Uint8Array
  /** Everything it needs: configs, layers, child manifests. */
  readonly digests: readonly string[]
  /** The bytes of the source tag now; `undefined` when it is gone. */
  readonly readSource: () => Promise<Uint8Array | undefined>
  readonly put: Publication['put']
  readonly hasLanded: Publication['hasLanded']
}

/**
 * Copies a tag inside a store without a look at any blob (docs/garbage-collection.md, the writer's
 * steps): when the source names the same manifest once its blobs are pinned and no round can delete
 * them, they are there. Throws `CONFLICT` when the source was deleted or overwritten meanwhile.
 */
export async function republish(protection: Protection, request: Republication): Promise<void> {
  const { name, content, digests, readSource, put, hasLanded, signal } = request
  await protection.publish({
    digests,
    put,
    hasLanded,
    signal,
    confirm: async () => {
      const now = await readSource()
      if (now && Buffer.compare(now, content) === 0) return
      throw new S3loError('CONFLICT', `${name} was ${now ? 'overwritten' : 'deleted'} meanwhile`, {
        hint: 'run it again to copy what is there now',
      })
    },
  })
}
