import {
  argument,
  defineCommand,
  flag,
  option,
  optionalArgument,
  S3loError,
} from '@s3lo/core/plugin'
import { renderRestorable, restoredNote } from '@s3lo/views/restoration'

export default defineCommand({
  examples: [
    ['Show what can be restored', 's3lo restore s3://my-bucket/app'],
    ['Bring a deleted tag back', 's3lo restore s3://my-bucket/app:v1'],
    [
      'Give a tag the image that it had at a moment',
      's3lo restore s3://my-bucket/app:v1 --at 2026-01-31T12:00:00Z',
    ],
  ],
  parameters: {
    reference: argument('store or image'),
    digest: optionalArgument('digest'),
    at: option('--at', 'what the tag named at a `TIME`: 2026-01-31T12:00:00Z'),
    list: flag('--list', 'show what can be restored of a tag, and restore nothing'),
    force: flag('--force', 'overwrite a tag of an immutable image'),
  },
  async run({ args, host, options: { signal, onProgress }, status }) {
    const { reference, digest, at, list, force } = args
    if (list || (!hasTag(reference) && digest === undefined && at === undefined)) {
      const rows = await host.restorable(reference, { signal })
      return {
        result: rows,
        render: () => (rows.length > 0 ? renderRestorable(rows) : 'Nothing to restore.\n'),
      }
    }
    const result = await host.restore(reference, {
      signal,
      onProgress,
      force,
      at: at === undefined ? undefined : parseTime(at),
      digest: digest?.replace(/^@/, ''),
    })
    status(restoredNote(result))
    return { result, render: () => '' }
  },
})

/** A name has no colon; what precedes it ends in a slash. */
function hasTag(reference: string): boolean {
  return reference.slice(reference.lastIndexOf('/') + 1).includes(':')
}

function parseTime(text: string): Date {
  const time = new Date(text)
  if (!Number.isNaN(time.getTime())) return time
  throw new S3loError('USAGE', `--at ${JSON.stringify(text)} is not a time`, {
    hint: 'for example --at 2026-01-31T12:00:00Z',
  })
}
