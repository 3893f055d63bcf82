import { argument, defineCommand, flag, option, optionalArgument } from '@s3lo/core/plugin'
import { isArchiveOnStandardOutput } from '../standard-output.ts'

export default defineCommand({
  examples: [
    ['Pull an image into the Docker engine', 's3lo pull s3://my-bucket/app:v1'],
    ['Pull only what a key signed', 's3lo pull s3://my-bucket/app:v1 --verify-key cosign.pub'],
    [
      'Pull it into the engine of another machine',
      's3lo pull s3://my-bucket/app:v1 docker-archive:-:app:v1 | ssh host docker load',
    ],
  ],
  parameters: {
    reference: argument('ref'),
    target: optionalArgument('target'),
    platform: option('--platform', "pull `OS/ARCH` instead of this machine's platform"),
    verifyKey: option(
      '--verify-key',
      'pull only what this `KEY` signed: exactly the manifest that was verified',
    ),
    allowCosign: flag(
      '--allow-cosign',
      "with --verify-key: accept signatures in cosign's formats, as verify does",
    ),
    allowSchema1: flag(
      '--allow-schema-1',
      'with --verify-key: accept records of schema 1, as verify does',
    ),
  },
  activity: 'Pulling',
  isResumable: true,
  writesStandardOutput: ({ target }) => isArchiveOnStandardOutput(target),
  async run({ args, host, options, status }) {
    const { reference, target, ...choices } = args
    status(`Pulling ${reference}`)
    const begun = performance.now()
    const result = await host.pull(reference, target, { ...options, ...choices })
    const { verified_digest: verified } = result
    if (verified !== undefined) status(`Verified ${verified} with ${choices.verifyKey}`)
    const { renderDigest, summarisePull } = await import('@s3lo/views/transfer')
    const summary = summarisePull(result, performance.now() - begun)
    const lines = isEngine(target) ? [summary, 'Image imported into Docker.'] : [summary]
    return { result, render: () => renderDigest(result), status: lines }
  },
})

/** True for a bare name, and where none is given. */
function isEngine(target: string | undefined): boolean {
  return target === undefined || !/^(?:oci|oci-archive|docker-archive|docker):/.test(target)
}
