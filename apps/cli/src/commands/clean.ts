import type { CleanOptions, Host, OperationOptions } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { cleanNotes, renderCleaned } from '../render/clean.ts'

export default class CleanCommand extends S3loCommand {
  static override readonly paths = [['clean'], ['bucket', 'clean']]
  static override readonly usage = Command.Usage({
    examples: [
      ['See what would be deleted, and why', 's3lo clean s3://my-bucket/ --explain'],
      ['Delete it', 's3lo clean s3://my-bucket/ --confirm'],
      ['Try rules out before they are set', 's3lo clean s3://my-bucket/team/ --config rules.yaml'],
    ],
  })

  store = Option.String({ name: 'store' })
  confirm = Option.Boolean('--confirm', false, {
    description: 'delete; without it nothing is changed',
  })
  tags = Option.Boolean('--tags', false, {
    description: 'apply the rules to tags only, and leave content alone',
  })
  blobs = Option.Boolean('--blobs', false, {
    description: 'delete content that no tag needs only, and leave tags alone',
  })
  explain = Option.Boolean('--explain', false, {
    description: 'print for every tag which rule keeps or drops it, and what becomes of garbage',
  })
  config = Option.String('--config', {
    description: 'take the rules from `FILE` instead of the s3lo.yaml of the store',
  })
  grace = Option.String('--grace', {
    description: 'keep garbage for `DURATION`, for programs that do not say what they use (1h)',
  })
  ignore = Option.Array('--ignore', {
    description: 'clean even if `IMAGE:TAG` cannot be read: content that only it needs is deleted',
  })
  expectFewer = Option.Boolean('--expect-fewer', false, {
    description:
      'clean even if there is no tag, or fewer than half of those that the last clean saw',
  })
  end = Option.Array('--end', {
    description:
      'end the pin or round `ID`, whose process has ended for certain, and do nothing else',
  })

  protected override progressTitle(): string {
    return 'Cleaning'
  }

  protected override async run(
    host: Host,
    { signal, onProgress }: OperationOptions,
  ): Promise<Output> {
    const { confirm, explain, ignore, expectFewer, end } = this
    const graceMs = await parseGrace(this.grace)
    const only = this.#only()
    const config = await this.#loadConfig(signal)
    const choices = { confirm, only, config, graceMs, ignore, expectFewer, end, explain }
    const result = await host.clean(this.store, { ...choices, signal, onProgress })
    const { cleanFailure, nameParticipant } = await import('@s3lo/core')
    const notes = cleanNotes(result, { store: this.store, only, nameParticipant })
    for (const line of notes) this.status(line)
    const error = cleanFailure(result)
    return { result, render: () => renderCleaned(result), ...(error ? { error } : {}) }
  }

  #only(): CleanOptions['only'] {
    if (this.tags && this.blobs) {
      throw new S3loError('USAGE', '--tags and --blobs exclude each other', {
        hint: 'leave both out to clean tags and then content',
      })
    }
    if (this.tags) return 'tags'
    return this.blobs ? 'blobs' : undefined
  }

  async #loadConfig(signal: AbortSignal | undefined): Promise<CleanOptions['config']> {
    if (this.config === undefined) return undefined
    const { loadConfigFile } = await import('@s3lo/core')
    return loadConfigFile(this.config, { signal })
  }
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
