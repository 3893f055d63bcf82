import { escapeText } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { artifactEntryTypeLayer } from '../artifacts/artifacts-db.ts'
import { SociCommand } from './soci-command.ts'

/** `s3lo soci ztoc list`. */
export default class ZtocListCommand extends SociCommand {
  static override readonly paths = [['soci', 'ztoc', 'list']]
  static override readonly usage = Command.Usage({
    examples: [
      ['See which layers have a zTOC', 's3lo soci ztoc list s3://my-bucket/'],
      ['For a program', 's3lo soci ztoc list s3://my-bucket/ -o json'],
    ],
  })

  store = Option.String({ name: 'store' })

  override execute(): Promise<number> {
    return this.onStore(this.store, undefined, async ({ db }, { options: { signal } }) => {
      const found = await Array.fromAsync(db.entries({ signal }))
      const ztocs = found
        .filter(({ type }) => type === artifactEntryTypeLayer)
        .map(({ digest, size, originalDigest }) => ({ digest, size, layer_digest: originalDigest }))
      const lines = ztocs.map(
        (ztoc) => `${ztoc.digest}  ${ztoc.size}  ${escapeText(ztoc.layer_digest)}\n`,
      )
      return { result: ztocs, render: () => lines.join('') }
    })
  }
}
