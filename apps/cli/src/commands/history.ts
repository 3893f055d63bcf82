import {
  ambiguousDigest,
  type HistoryOptions,
  type Host,
  type ImageHistory,
  isDigest,
  isShortDigest,
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
    const located = await host.locate(this.reference, { signal, names: 'store' })
    const { image } = parseConfigReference(located)
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

  /** An "@" begins a digest, which may be shortened, else a colon begins a tag: an image's name has neither. */
  async #imageHistory(
    host: Host,
    image: string,
    options: HistoryOptions,
  ): Promise<readonly TagHistory[]> {
    const separator = image.includes('@') ? '@' : ':'
    const at = separator === '@' ? image.indexOf('@') : image.lastIndexOf(':')
    if (at < 0) return host.imageHistory(this.reference, options)
    const version = image.slice(at + 1)
    const reference = this.reference.slice(0, this.reference.length - version.length - 1)
    const rows = await host.imageHistory(reference, options)
    const chosen =
      separator === '@'
        ? ofDigest(this.reference, version, rows)
        : rows.filter(({ tag }) => tag === version)
    if (chosen.length > 0) return chosen
    const all = separator === '@' && !this.all ? ' --all' : ''
    throw new S3loError('NOT_FOUND', `${this.reference} does not exist`, {
      hint: `s3lo history ${reference}${all} shows the pushes of the image`,
    })
  }
}

/** The pushes of one digest. Throws `INVALID_REFERENCE` for what is no digest, or the beginning of several. */
function ofDigest(
  reference: string,
  digest: string,
  rows: readonly TagHistory[],
): readonly TagHistory[] {
  if (!isDigest(digest) && !isShortDigest(digest)) {
    throw new S3loError('INVALID_REFERENCE', `${reference} has a malformed digest`, {
      hint: 'write sha256: and 4 or more of its hex digits',
    })
  }
  const chosen = rows.filter((row) => row.digest.startsWith(digest))
  const digests = new Set(chosen.map((row) => row.digest))
  if (digests.size > 1) throw ambiguousDigest(reference, digests)
  return chosen
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
