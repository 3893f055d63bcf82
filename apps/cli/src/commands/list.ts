import type { Host, ListedImage, OperationOptions } from '@s3lo/core'
import { parseStoreReference } from '@s3lo/core/host'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { escapeText } from '../render/text.ts'

export default class ListCommand extends S3loCommand {
  static override readonly paths = [['list'], ['ls']]
  static override readonly usage = Command.Usage({
    examples: [
      ['List everything in a bucket', 's3lo list s3://my-bucket/'],
      ['List the images below a name', 's3lo list s3://my-bucket/team/'],
      ['List for a program', 's3lo list local://./store/ -o json'],
    ],
  })

  store = Option.String({ name: 'store' })

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    const result = await host.list(this.store, options)
    this.#explainDirectory(await host.locate(this.store, { ...options, names: 'store' }), result)
    return { result, render: () => renderList(result) }
  }

  /** Where a directory ends and a name begins is not what people expect of a deep path. */
  #explainDirectory(store: string, images: readonly ListedImage[]): void {
    const { scheme, bucket, filter } = parseStoreReference(store)
    if (scheme !== 'local' || filter === '') return
    if (images.length > 0) return
    const name = filter.slice(0, -1)
    this.status(
      `This lists images of the directory ${bucket} whose name is or begins with ${name}.`,
    )
    this.status(`hint: a deeper directory ends in //: s3lo list local://${bucket}/${name}//`)
  }
}

function renderList(images: readonly ListedImage[]): string {
  if (images.length === 0) return 'No images found.\n'
  return images
    .flatMap(({ name, tags }) => tags.map((tag) => `${escapeText(`${name}:${tag}`)}\n`))
    .join('')
}
