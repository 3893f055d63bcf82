import { MAX_MANIFEST_BYTES, readAll } from '@s3lo/core'
import { escapeJson, parseJson } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { artifactEntryTypeIndex, NotAnIndexError } from '../artifacts/artifacts-db.ts'
import { findArtifactDigest, SociCommand } from './soci-command.ts'

/** `s3lo soci info`: the index's own document. */
export default class SociInfoCommand extends SociCommand {
  static override readonly paths = [['soci', 'info']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Show an index', 's3lo soci info s3://my-bucket/ sha256:4bcf…'],
      ['Keep it in a file', 's3lo soci info s3://my-bucket/ sha256:4bcf… >index.json'],
    ],
  })

  store = Option.String({ name: 'store' })
  digest = Option.String({ name: 'digest' })

  override execute(): Promise<number> {
    return this.onStore(this.store, undefined, async (artifacts, { options: { signal } }) => {
      const digest = await findArtifactDigest(artifacts, this.digest, { signal })
      const { type, mediaType, size } = await artifacts.db.getArtifactEntry(digest, { signal })
      if (type !== artifactEntryTypeIndex) throw new NotAnIndexError(digest)
      const stream = await artifacts.fetch({ mediaType, digest, size }, { signal })
      const content = await readAll(stream, MAX_MANIFEST_BYTES, `SOCI index ${digest}`)
      const result = parseJson(content, `SOCI index ${digest}`)
      return { result, render: () => `${escapeJson(JSON.stringify(result, undefined, 2))}\n` }
    })
  }
}
