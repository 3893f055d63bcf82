import type { ListedImage } from '@s3lo/core'
import { parseStoreReference } from '@s3lo/core/host'
import { argument, defineCommand, flag } from '@s3lo/core/plugin'
import { renderUntagged } from '@s3lo/views/restoration'
import { escapeText } from '@s3lo/views/text'

export default defineCommand({
  examples: [
    ['List everything in a bucket', 's3lo list s3://my-bucket/'],
    ['List the images below a name', 's3lo list s3://my-bucket/team/'],
    ['List images that no tag names any more', 's3lo list s3://my-bucket/ --untagged'],
  ],
  parameters: {
    store: argument('store'),
    all: flag('--all', 'list tags of signatures and the like as well'),
    untagged: flag('--untagged', 'list the images that are kept by digest and have no tag'),
  },
  async run({ args: { store, all, untagged }, host, options, status }) {
    if (untagged) {
      const rows = await host.listUntagged(store, options)
      return { result: rows, render: () => renderUntagged(rows) }
    }
    const result = await host.list(store, { ...options, all })
    if (result.length === 0) {
      explainDirectory(await host.locate(store, { ...options, names: 'store' }), status)
    }
    return { result, render: () => renderList(result) }
  },
})

/** Where a directory ends and a name begins is not what people expect of a deep path. */
function explainDirectory(store: string, status: (line: string) => void): void {
  const { scheme, bucket, filter } = parseStoreReference(store)
  if (scheme !== 'local' || filter === '') return
  const name = filter.slice(0, -1)
  status(`This lists images of the directory ${bucket} whose name is or begins with ${name}.`)
  status(`hint: a deeper directory ends in //: s3lo list local://${bucket}/${name}//`)
}

function renderList(images: readonly ListedImage[]): string {
  if (images.length === 0) return 'No images found.\n'
  return images
    .flatMap(({ name, tags }) => tags.map((tag) => `${escapeText(`${name}:${tag}`)}\n`))
    .join('')
}
