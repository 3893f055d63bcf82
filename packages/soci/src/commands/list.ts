import { argument, defineCommand, escapeText } from '@s3lo/core/plugin'
import { sociIndexArtifactTypeV2 } from '../index/soci-index.ts'
import { artifactEntryTypeIndex } from '../artifacts/artifacts-db.ts'
import { onStore } from './soci-command.ts'

/** `s3lo soci list`: newest first. */
export default defineCommand({
  examples: [
    ['See which indexes there are', 's3lo soci list s3://my-bucket/'],
    ['For a program', 's3lo soci list s3://my-bucket/ -o json'],
  ],
  parameters: { store: argument('store') },
  run(work) {
    const { signal } = work.options
    return onStore(work.args.store, work, async ({ db }) => {
      const found = await Array.fromAsync(db.entries({ signal }))
      const indexes = found
        .filter(({ type }) => type === artifactEntryTypeIndex)
        .toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
        .map((entry) => ({
          digest: entry.digest,
          size: entry.size,
          image_digest: entry.imageDigest,
          manifest_digest: entry.originalDigest,
          platform: entry.platform,
          version: entry.artifactType === sociIndexArtifactTypeV2 ? 'v2' : 'v1',
          created_at: entry.createdAt.toISOString(),
        }))
      // A record may be anyone's.
      const lines = indexes.map(
        ({ digest, version, platform, manifest_digest }) =>
          `${digest}  ${version}  ${escapeText(platform)}  ${escapeText(manifest_digest)}\n`,
      )
      return { result: indexes, render: () => lines.join('') }
    })
  },
})
