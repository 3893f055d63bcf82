import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { replaceFile } from '@s3lo/core/command'
import { argument, defineCommand, option, S3loError } from '@s3lo/core/plugin'
import { extractEntry } from '../ztoc/extract.ts'
import { findEntry } from '../ztoc/read.ts'
import { readZtoc } from './read-ztoc.ts'
import { findArtifactDigest, onStore } from './soci-command.ts'

/** `s3lo soci ztoc get-file`: a file by its name in the tar; `s3lo cat` is for names in the image. */
export default defineCommand({
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
  parameters: {
    store: argument('store'),
    digest: argument('digest'),
    file: argument('file'),
    target: option(
      '-O,-o',
      'write the content to `FILE`; -o does the same for a value that is no output format',
    ),
  },
  run(work) {
    const { args, isDocument, stdout } = work
    const { signal } = work.options
    return onStore(args.store, work, async (artifacts) => {
      if (isDocument && args.target === undefined) throw twoOutputs()
      const digest = await findArtifactDigest(artifacts, args.digest, { signal })
      const { record, opened } = await readZtoc(artifacts, digest, {
        signal,
      })
      const located = findEntry(opened, args.file)
      if (!located) {
        throw new S3loError('NOT_FOUND', `the layer has no entry ${JSON.stringify(args.file)}`, {
          hint: `s3lo soci ztoc info ${args.store} ${args.digest} shows the names`,
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
      if (args.target !== undefined) await replaceFile(args.target, content)
      else await pipeline(Readable.from(content), stdout, { end: false })
      const result = { file: args.file, size: located.entry.size, layer_digest: layer.digest }
      return { result, render: () => '' }
    })
  },
})

function twoOutputs(): S3loError {
  return new S3loError('USAGE', 'a document and the content cannot both go to standard output', {
    hint: 'add -O FILE for the content',
  })
}
