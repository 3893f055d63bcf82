import { argument, defineCommand, escapeText } from '@s3lo/core/plugin'
import { artifactEntryTypeLayer } from '../artifacts/artifacts-db.ts'
import { onStore } from './soci-command.ts'

/** `s3lo soci ztoc list`. */
export default defineCommand({
  examples: [
    ['See which layers have a zTOC', 's3lo soci ztoc list s3://my-bucket/'],
    ['For a program', 's3lo soci ztoc list s3://my-bucket/ -o json'],
  ],
  parameters: { store: argument('store') },
  run(work) {
    const { signal } = work.options
    return onStore(work.args.store, work, async ({ db }) => {
      const found = await Array.fromAsync(db.entries({ signal }))
      const ztocs = found
        .filter(({ type }) => type === artifactEntryTypeLayer)
        .map(({ digest, size, originalDigest }) => ({ digest, size, layer_digest: originalDigest }))
      const lines = ztocs.map(
        (ztoc) => `${ztoc.digest}  ${ztoc.size}  ${escapeText(ztoc.layer_digest)}\n`,
      )
      return { result: ztocs, render: () => lines.join('') }
    })
  },
})
