import {
  type HistoryOptions,
  type Host,
  type ImageHistory,
  type OperationOptions,
  parseConfigReference,
  type TagHistory,
} from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { renderImageHistory, renderStoreHistory } from '../render/history.ts'
import { escapeText } from '../render/text.ts'

export default class HistoryCommand extends S3loCommand {
  static override readonly paths = [['history']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Show the images of a store, the last pushed first', 's3lo history s3://my-bucket/'],
      [
        'Show the pushes of one image, overwritten ones too',
        's3lo history s3://my-bucket/app --all',
      ],
      ['Show every push of one tag', 's3lo history s3://my-bucket/app:v1 --all --limit 0'],
    ],
  })

  reference = Option.String({ name: 'store or image' })
  limit = Option.String('--limit', {
    description: 'show at most `N` rows (default 10; 0: all)',
  })
  all = Option.Boolean('--all', false, {
    description: 'show pushes that were overwritten since as well',
  })

  protected override async run(
    host: Host,
    { signal, onProgress }: OperationOptions,
  ): Promise<Output> {
    const limit = parseLimit(this.limit)
    const { image } = parseConfigReference(this.reference)
    if (image === '') {
      const result = await host.storeHistory(this.reference, { signal, onProgress })
      const rows = this.#cut(result, limit, onProgress)
      return table(rows, renderStoreHistory, 'No push history recorded.')
    }
    const { all } = this
    const result = await this.#imageHistory(host, image, { signal, onProgress, all })
    const rows = this.#cut(result, limit, onProgress)
    return table(rows, renderImageHistory, `No push history recorded for ${escapeText(image)}.`)
  }

  /** The first rows; a note says what is left out, where nobody has asked for so many. */
  #cut<T>(
    rows: readonly T[],
    limit: number,
    onProgress: OperationOptions['onProgress'],
  ): readonly T[] {
    if (limit === 0 || rows.length <= limit) return rows
    if (this.limit === undefined) {
      const message = `${limit} of ${rows.length} rows are shown: --limit 0 shows all`
      onProgress?.({ type: 'notice', code: 'rows-left-out', message })
    }
    return rows.slice(0, limit)
  }

  /** A colon begins a tag: an image's name has none. */
  async #imageHistory(
    host: Host,
    image: string,
    options: HistoryOptions,
  ): Promise<readonly TagHistory[]> {
    const colon = image.lastIndexOf(':')
    if (colon < 0) return host.imageHistory(this.reference, options)
    const tag = image.slice(colon + 1)
    const reference = this.reference.slice(0, this.reference.lastIndexOf(':'))
    const rows = await host.imageHistory(reference, options)
    const ofTag = rows.filter((row) => row.tag === tag)
    if (ofTag.length === 0) {
      throw new S3loError('NOT_FOUND', `${this.reference} does not exist`, {
        hint: `s3lo history ${reference} shows the tags of the image`,
      })
    }
    return ofTag
  }
}

function table<T extends ImageHistory | TagHistory>(
  result: readonly T[],
  render: (rows: readonly T[]) => string,
  whenEmpty: string,
): Output {
  return { result, render: () => (result.length > 0 ? render(result) : `${whenEmpty}\n`) }
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return 10
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new S3loError('USAGE', `--limit ${JSON.stringify(text)} is not a number of rows`, {
    hint: 'for example --limit 20, or --limit 0 for all',
  })
}
