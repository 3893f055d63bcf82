import { argument, defineCommand, S3loError, someArguments } from '@s3lo/core/plugin'
import { artifactEntryTypeIndex, NotAnIndexError } from '../artifacts/artifacts-db.ts'
import { sociIndexArtifactType } from '../index/soci-index.ts'
import type { StoreArtifacts } from '../store-artifacts.ts'
import { onStore, parseArtifactDigest } from './soci-command.ts'

/** `s3lo soci remove`. */
export default defineCommand({
  examples: [
    ['Take an index off its image', 's3lo soci remove s3://my-bucket/ sha256:4bcf…'],
    ['Several at once', 's3lo soci remove s3://my-bucket/ sha256:4bcf… sha256:9a01…'],
  ],
  parameters: { store: argument('store'), digests: someArguments('digest') },
  run(work) {
    const { args, status, options } = work
    return onStore(args.store, work, async (artifacts) => {
      // All of them are looked at before the first is removed.
      for (const digest of args.digests.map(parseArtifactDigest)) {
        await removeIndex(artifacts, digest, options.signal)
        status(`Removed ${digest}`)
      }
      return { result: { removed: args.digests }, render: () => '' }
    })
  },
})

async function removeIndex(
  artifacts: StoreArtifacts,
  digest: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { store, db } = artifacts
  const entry = await db.getArtifactEntry(digest, { signal })
  if (entry.type !== artifactEntryTypeIndex) throw new NotAnIndexError(digest)
  const { mediaType, size, originalDigest } = entry
  if (entry.artifactType === sociIndexArtifactType) {
    const subject = { mediaType: '', size: 0, digest: originalDigest }
    await artifacts.detach({ repository: entry.repository, subject }, digest, { signal })
  } else if (await store.blobs.has({ mediaType, digest, size }, { signal })) {
    throw new S3loError('CONFLICT', `index ${digest} is a part of image ${entry.imageDigest}`, {
      hint: 'delete the tags of that image and run s3lo clean: the index goes with it',
    })
  }
  await db.removeArtifactEntryByIndexDigest(digest, { signal })
}
