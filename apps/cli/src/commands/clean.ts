import type { CleanOptions } from '@s3lo/core'
import { argument, defineCommand, flag, option, repeatedOption, S3loError } from '@s3lo/core/plugin'
import { cleanNotes, renderCleaned } from '@s3lo/views/clean'

export default defineCommand({
  examples: [
    ['See what would be deleted, and why', 's3lo clean s3://my-bucket/ --explain'],
    ['Delete it', 's3lo clean s3://my-bucket/ --confirm'],
    ['Try rules out before they are set', 's3lo clean s3://my-bucket/team/ --config rules.yaml'],
  ],
  parameters: {
    store: argument('store'),
    confirm: flag('--confirm', 'delete; without it nothing is changed'),
    tags: flag('--tags', 'apply the rules to tags only, and leave content alone'),
    blobs: flag('--blobs', 'delete only content that no tag needs, and leave tags alone'),
    explain: flag(
      '--explain',
      'print for every tag which rule keeps or drops it, and what becomes of garbage',
    ),
    config: option('--config', 'take the rules from `FILE` instead of the s3lo.yaml of the store'),
    grace: option(
      '--grace',
      'keep garbage for `DURATION`, for programs that do not say what they use (1h)',
    ),
    ignore: repeatedOption(
      '--ignore',
      'clean even if `IMAGE:TAG` cannot be read: content that only it needs is deleted',
    ),
    expectFewer: flag(
      '--expect-fewer',
      'clean even if there is no tag, or fewer than half of those that the last clean saw',
    ),
    goWritersStopped: flag(
      '--go-writers-stopped',
      'delete also garbage in chunks of the Go program, none of which is running for certain',
    ),
    end: repeatedOption(
      '--end',
      'end the pin or round `ID`, whose process has ended for certain, and do nothing else',
    ),
  },
  activity: 'Cleaning',
  async run({ args, host, options: { signal, onProgress }, status }) {
    const { store, tags, blobs, config: file, grace, ...choices } = args
    const graceMs = await parseGrace(grace)
    const only = parseOnly(tags, blobs)
    const config = await loadConfig(file, signal)
    const given = { ...choices, only, config, graceMs, signal, onProgress }
    const result = await host.clean(store, given)
    const { cleanFailure, nameParticipant } = await import('@s3lo/core')
    for (const line of cleanNotes(result, { only, nameParticipant })) status(line)
    const error = cleanFailure(result)
    return { result, render: () => renderCleaned(result), ...(error ? { error } : {}) }
  },
})

function parseOnly(tags: boolean, blobs: boolean): CleanOptions['only'] {
  if (tags && blobs) {
    throw new S3loError('USAGE', '--tags and --blobs exclude each other', {
      hint: 'leave both out to clean tags and then content',
    })
  }
  if (tags) return 'tags'
  return blobs ? 'blobs' : undefined
}

async function loadConfig(
  file: string | undefined,
  signal: AbortSignal | undefined,
): Promise<CleanOptions['config']> {
  if (file === undefined) return undefined
  const { loadConfigFile } = await import('@s3lo/core')
  return loadConfigFile(file, { signal })
}

async function parseGrace(text: string | undefined): Promise<number | undefined> {
  if (text === undefined) return undefined
  if (text === '0') return 0
  const { parseDuration } = await import('@s3lo/core')
  const ms = parseDuration(text)
  if (ms >= 0) return ms
  throw new S3loError('USAGE', `--grace ${JSON.stringify(text)} is less than nothing`, {
    hint: 'for example --grace 1h, or --grace 0 for none',
  })
}
