import type { ImageHistory, OperationOptions, TagHistory } from '@s3lo/core'
import {
  argument,
  type CommandOutput,
  defineCommand,
  flag,
  option,
  S3loError,
} from '@s3lo/core/plugin'
import { renderImageHistory, renderStoreHistory } from '@s3lo/views/history'
import { escapeText } from '@s3lo/views/text'

export default defineCommand({
  examples: [
    ['Show the images of a store, the last pushed first', 's3lo history s3://my-bucket/'],
    ['Show the pushes of one image, overwritten ones too', 's3lo history s3://my-bucket/app --all'],
    ['Show every push of one tag', 's3lo history s3://my-bucket/app:v1 --all --limit 0'],
  ],
  parameters: {
    reference: argument('store or image'),
    limit: option('--limit', 'show at most `N` rows (default 10; 0: all)'),
    all: flag('--all', 'show overwritten pushes, deleted tags, and tags of signatures as well'),
  },
  async run({ args, host, options: { signal, onProgress } }) {
    const limit = parseLimit(args.limit)
    const { reference, all } = args
    const history = await host.history(reference, { signal, onProgress, all })
    if (limit === undefined) noteCut(history.rows.length, onProgress)
    if (history.of === 'store') {
      return table(cut(history.rows, limit), renderStoreHistory, 'No push history recorded.')
    }
    const empty = `No push history recorded for ${escapeText(history.image)}.`
    return table(cut(history.rows, limit), renderImageHistory, empty)
  },
})

/** The rows that are shown where no number is asked for. */
const USUAL_ROWS = 10

function cut<T>(rows: readonly T[], limit = USUAL_ROWS): readonly T[] {
  return limit === 0 ? rows : rows.slice(0, limit)
}

/** Says what is left out where no number was asked for. */
function noteCut(rows: number, onProgress: OperationOptions['onProgress']): void {
  if (rows <= USUAL_ROWS) return
  const message = `${USUAL_ROWS} of ${rows} rows are shown: --limit 0 shows all`
  onProgress?.({ type: 'notice', code: 'rows-left-out', message })
}

function table<T extends ImageHistory | TagHistory>(
  result: readonly T[],
  render: (rows: readonly T[]) => string,
  whenEmpty: string,
): CommandOutput {
  return { result, render: () => (result.length > 0 ? render(result) : `${whenEmpty}\n`) }
}

function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new S3loError('USAGE', `--limit ${JSON.stringify(text)} is not a number of rows`, {
    hint: 'for example --limit 20, or --limit 0 for all',
  })
}
