import type { DeleteResult, Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'

export default class DeleteCommand extends S3loCommand {
  static override readonly paths = [['delete'], ['rm']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Delete a tag', 's3lo delete s3://my-bucket/app:v1'],
      ['Delete several', 's3lo delete s3://my-bucket/app:v1 s3://my-bucket/app:v2'],
      ['Delete an image with all its tags', 's3lo delete s3://my-bucket/app --all-tags'],
    ],
  })

  references = Option.Rest({ name: 'ref', required: 1 })
  force = Option.Boolean('--force', false, {
    description: 'delete tags of an immutable image as well',
  })
  allTags = Option.Boolean('--all-tags', false, {
    description: 'delete every tag of the images that are named without one',
  })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const deleted: DeleteResult[] = []
    const { force } = this
    const onDeleted = (result: DeleteResult): void => {
      this.status(`Deleted ${result.ref}`)
      deleted.push(result)
    }
    try {
      for (const reference of this.references) {
        if (this.allTags) await host.deleteAllTags(reference, { signal, force, onDeleted })
        else onDeleted(await host.delete(reference, { signal, force }))
      }
    } catch (error) {
      if (deleted.length === 0) throw error
      return { result: { deleted }, render: () => '', error }
    }
    const [first] = deleted
    const one = this.references.length === 1 && !this.allTags
    return { result: one ? first : deleted, render: () => '' }
  }
}
