import type { Writable } from 'node:stream'
import type { CatResult, TakeContent } from '@s3lo/core'
import { argument, defineCommand, flag, option, S3loError } from '@s3lo/core/plugin'
import { print } from '../print.ts'
import { formatSize } from '@s3lo/views/text'

export default defineCommand({
  examples: [
    ['See what an image is made from', 's3lo cat s3://my-bucket/app:v1 /etc/os-release'],
    [
      'Write a file of another platform',
      's3lo cat s3://my-bucket/app:v1 /bin/sh --platform linux/arm64 -O sh',
    ],
    ['Make the next reading fast', 's3lo cat s3://my-bucket/app:v1 /etc/passwd --index'],
  ],
  parameters: {
    reference: argument('ref'),
    filePath: argument('path'),
    platform: option(
      '--platform',
      "read the image of `OS/ARCH` instead of this machine's platform",
    ),
    file: option(
      '-O,-o',
      'write the content to `FILE`; -o does the same for a value that is no output format',
    ),
    index: flag('--index', 'index the layers that are read, so that the next reader fetches less'),
    wholeLayers: flag(
      '--whole-layers',
      'read layers whole and use no index, so that digests cover all that is read',
    ),
  },
  async run({ args, host, options, isDocument, stdout }) {
    const { reference, filePath, file, ...choices } = args
    if (file === undefined && isDocument) throw twoOutputs()
    const take = await takerOf(file, stdout)
    const result = await host.cat(reference, filePath, take, { ...options, ...choices })
    const written = file === undefined ? [] : [`Written to ${file}`]
    return { result, render: () => '', status: [describe(result), ...written] }
  },
})

function twoOutputs(): S3loError {
  return new S3loError('USAGE', 'a document and the content cannot both go to standard output', {
    hint: 'add -O FILE for the content',
  })
}

async function takerOf(file: string | undefined, stdout: Writable): Promise<TakeContent> {
  if (file !== undefined) {
    const { replaceFile } = await import('@s3lo/core/command')
    return (content) => replaceFile(file, content)
  }
  return async (content) => {
    for await (const chunk of content) {
      const { buffer, byteOffset, byteLength } = chunk
      if (!(await print(stdout, Buffer.from(buffer, byteOffset, byteLength)))) return
    }
  }
}

function describe({ fetched_bytes, layers_bytes, path }: CatResult): string {
  return `${path}: fetched ${formatSize(fetched_bytes)} of ${formatSize(layers_bytes)}`
}
