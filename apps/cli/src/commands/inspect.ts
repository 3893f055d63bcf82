import { argument, defineCommand, escapeLines, flag, S3loError } from '@s3lo/core/plugin'
import { renderInspection } from '@s3lo/views/inspection'

export default defineCommand({
  examples: [
    ['Show layers, sizes, platforms and signatures', 's3lo inspect s3://my-bucket/app:v1'],
    ['Get the digest for a program', 's3lo inspect s3://my-bucket/app:v1 -o json'],
    ['Get the manifest as it is stored', 's3lo inspect s3://my-bucket/app:v1 --raw'],
  ],
  parameters: {
    reference: argument('ref'),
    raw: flag('--raw', 'print the manifest or index byte for byte'),
  },
  async run({ args: { reference, raw }, host, options, isDocument, stdout, env }) {
    if (!raw) return { result: await host.inspect(reference, options), render: renderInspection }
    if (isDocument) {
      throw new S3loError('USAGE', '--raw and -o exclude each other', {
        hint: 'a manifest is JSON as it is',
      })
    }
    const { content } = await host.manifest(reference, options)
    const text = Buffer.from(content).toString('utf8')
    // Byte for byte for programs; a terminal must not obey what a manifest says.
    const { isTerminal } = await import('../render/color.ts')
    return {
      result: undefined,
      render: () => (isTerminal(stdout, env) ? escapeLines(text) : text),
    }
  },
})
