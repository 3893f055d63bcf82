import type { Host, ImageHistory, OperationOptions, TagHistory } from '@s3lo/core'
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
    const { all } = this
    const history = await host.history(this.reference, { signal, onProgress, all })
    if (history.of === 'store') {
      const rows = this.#cut(history.rows, limit, onProgress)
      return table(rows, renderStoreHistory, 'No push history recorded.')
    }
    const rows = this.#cut(history.rows, limit, onProgress)
    const empty = `No push history recorded for ${escapeText(history.image)}.`
    return table(rows, renderImageHistory, empty)
  }

  /** The first rows; a note says what is left out, unless --limit asked for so many. */
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
