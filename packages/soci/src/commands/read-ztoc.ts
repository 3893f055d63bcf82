import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { readAll } from '@s3lo/core'
import { type ArtifactEntry, artifactEntryTypeLayer } from '../artifacts/artifacts-db.ts'
import { MAX_ZTOC_BYTES } from '../kept-ztoc.ts'
import type { StoreArtifacts } from '../store-artifacts.ts'
import { decodeZtoc } from '../ztoc/flatbuffer.ts'
import { type OpenZtoc, openZtoc } from '../ztoc/read.ts'

/** A zTOC of the store with its record. Throws `NOT_FOUND`, and `USAGE` for what is none. */
export async function readZtoc(
  artifacts: StoreArtifacts,
  digest: string,
  options?: CallOptions,
): Promise<{ readonly record: ArtifactEntry; readonly opened: OpenZtoc }> {
  const record = await artifacts.db.getArtifactEntry(digest, options)
  const { type, mediaType, size } = record
  if (type !== artifactEntryTypeLayer) {
    throw new S3loError('USAGE', `artifact ${digest} is not a zTOC`, {
      hint: `s3lo soci info ${artifacts.name}/ ${digest} shows an index`,
    })
  }
  const stream = await artifacts.fetch({ mediaType, digest, size }, options)
  const content = await readAll(stream, MAX_ZTOC_BYTES, `zTOC ${digest}`)
  return { record, opened: openZtoc(decodeZtoc(content)) }
}
