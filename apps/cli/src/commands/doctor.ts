import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { renderDiagnosis } from '../render/diagnosis.ts'

export default class DoctorCommand extends S3loCommand {
  static override readonly paths = [['doctor'], ['bucket', 'doctor']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Check that every image of a store is whole', 's3lo doctor s3://my-bucket/'],
      ['Read and hash all content again', 's3lo doctor local://./store/ --deep'],
      ['Check the images below a name, for a program', 's3lo doctor gs://my-bucket/team/ -o json'],
    ],
  })

  store = Option.String({ name: 'store' })
  deep = Option.Boolean('--deep', false, {
    description: 'read all content and compare it with its digests',
  })

  protected override progressTitle(): string {
    return 'Checking'
  }

  protected override async run(
    host: Host,
    { signal, onProgress }: OperationOptions,
  ): Promise<Output> {
    this.status(`Checking ${this.store}`)
    const { deep } = this
    const result = await host.doctor(this.store, { signal, onProgress, deep })
    return { result, render: () => renderDiagnosis(result), exitCode: result.ok ? 0 : 1 }
  }
}
