import { MAX_MANIFEST_BYTES, readAll } from '@s3lo/core'
import { argument, defineCommand, escapeJson, parseJson } from '@s3lo/core/plugin'
import { artifactEntryTypeIndex, NotAnIndexError } from '../artifacts/artifacts-db.ts'
import { findArtifactDigest, onStore } from './soci-command.ts'

/** `s3lo soci info`: the index's own document. */
export default defineCommand({
  examples: [
    ['Show an index', 's3lo soci info s3://my-bucket/ sha256:4bcf…'],
    ['Keep it in a file', 's3lo soci info s3://my-bucket/ sha256:4bcf… >index.json'],
  ],
  parameters: { store: argument('store'), digest: argument('digest') },
  run(work) {
    const { args } = work
    const { signal } = work.options
    return onStore(args.store, work, async (artifacts) => {
      const digest = await findArtifactDigest(artifacts, args.digest, { signal })
      const { type, mediaType, size } = await artifacts.db.getArtifactEntry(digest, { signal })
      if (type !== artifactEntryTypeIndex) throw new NotAnIndexError(digest)
      const stream = await artifacts.fetch({ mediaType, digest, size }, { signal })
      const content = await readAll(stream, MAX_MANIFEST_BYTES, `SOCI index ${digest}`)
      const result = parseJson(content, `SOCI index ${digest}`)
      return { result, render: () => `${escapeJson(JSON.stringify(result, undefined, 2))}\n` }
    })
  },
})
