import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { replaceFile } from '@s3lo/core/command'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { extractEntry } from '../ztoc/extract.ts'
import { findEntry } from '../ztoc/read.ts'
import { readZtoc } from './read-ztoc.ts'
import { findArtifactDigest, SociCommand } from './soci-command.ts'

/** `s3lo soci ztoc get-file`: a file by its name in the tar; `s3lo cat` is for names in the image. */
export default class ZtocGetFileCommand extends SociCommand {
  static override readonly paths = [['soci', 'ztoc', 'get-file']]
  static override readonly usage = Command.Usage({
    examples: [
      [
        'Print a file of a layer',
        's3lo soci ztoc get-file s3://my-bucket/ sha256:4bcf… etc/os-release',
      ],
      [
        'Write it to a file',
        's3lo soci ztoc get-file s3://my-bucket/ sha256:4bcf… bin/busybox -O busybox',
      ],
    ],
  })

  store = Option.String({ name: 'store' })
  digest = Option.String({ name: 'digest' })
  file = Option.String({ name: 'file' })
  target = Option.String('-O,-o', {
    description: 'write the content to `FILE`; -o does so for what is no output format',
  })

  override execute(): Promise<number> {
    return this.onStore(
      this.store,
      undefined,
      async (artifacts, { isDocument, options: { signal } }) => {
        if (isDocument && this.target === undefined) throw twoOutputs()
        const digest = await findArtifactDigest(artifacts, this.digest, { signal })
        const { record, opened } = await readZtoc(artifacts, digest, {
          signal,
        })
        const located = findEntry(opened, this.file)
        if (!located) {
          throw new S3loError('NOT_FOUND', `the layer has no entry ${JSON.stringify(this.file)}`, {
            hint: `s3lo soci ztoc info ${this.store} ${this.digest} shows the names`,
          })
        }
        const size = opened.ztoc.compressedSize
        const layer = { mediaType: 'application/octet-stream', digest: record.originalDigest, size }
        const content = extractEntry(
          opened,
          located,
          (range, inner) => artifacts.fetch(layer, { ...inner, range }),
          { signal },
        )
        await this.#write(content)
        const result = { file: this.file, size: located.entry.size, layer_digest: layer.digest }
        return { result, render: () => '' }
      },
    )
  }

  async #write(content: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.target !== undefined) await replaceFile(this.target, content)
    else await pipeline(Readable.from(content), this.context.stdout, { end: false })
  }
}

function twoOutputs(): S3loError {
  return new S3loError('USAGE', 'a document and the content cannot both go to standard output', {
    hint: 'add -O FILE for the content',
  })
}
