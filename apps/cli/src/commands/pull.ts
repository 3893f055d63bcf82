import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { isArchiveOnStandardOutput } from '../standard-output.ts'

export default class PullCommand extends S3loCommand {
  static override readonly paths = [['pull']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Pull an image into the Docker engine', 's3lo pull s3://my-bucket/app:v1'],
      ['Pull only what a key signed', 's3lo pull s3://my-bucket/app:v1 --verify-key cosign.pub'],
      [
        'Pull it into the engine of another machine',
        's3lo pull s3://my-bucket/app:v1 docker-archive:-:app:v1 | ssh host docker load',
      ],
    ],
  })

  reference = Option.String({ name: 'ref' })
  target = Option.String({ name: 'target', required: false })
  platform = Option.String('--platform', {
    description: "pull `OS/ARCH` instead of this machine's platform",
  })
  verifyKey = Option.String('--verify-key', {
    description: 'pull only what this `KEY` signed: exactly the manifest that was verified',
  })
  allowCosign = Option.Boolean('--allow-cosign', false, {
    description: "with --verify-key: accept signatures in cosign's formats, as verify does",
  })
  allowSchema1 = Option.Boolean('--allow-schema-1', false, {
    description: 'with --verify-key: accept records of schema 1, as verify does',
  })

  protected override readonly activity = 'Pulling'

  protected override writesStandardOutput(): Promise<boolean> {
    return isArchiveOnStandardOutput(this.target)
  }

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    this.status(`Pulling ${this.reference}`)
    const begun = performance.now()
    const { platform, verifyKey, allowCosign, allowSchema1 } = this
    const given = { ...options, platform, verifyKey, allowCosign, allowSchema1 }
    const result = await host.pull(this.reference, this.target, given)
    const { verified_digest: verified } = result
    if (verified !== undefined) this.status(`Verified ${verified} with ${verifyKey}`)
    const { renderDigest, summarisePull } = await import('../render/transfer.ts')
    const summary = summarisePull(result, performance.now() - begun)
    const status = isEngine(this.target) ? [summary, 'Image imported into Docker.'] : [summary]
    return { result, render: () => renderDigest(result), status }
  }
}

/** True for a bare name, and where none is given. */
function isEngine(target: string | undefined): boolean {
  return target === undefined || !/^(?:oci|oci-archive|docker-archive|docker):/.test(target)
}
