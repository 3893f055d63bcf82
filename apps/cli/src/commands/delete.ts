import type { DeleteResult } from '@s3lo/core'
import { defineCommand, flag, someArguments } from '@s3lo/core/plugin'

export default defineCommand({
  examples: [
    ['Delete a tag', 's3lo delete s3://my-bucket/app:v1'],
    ['Delete several', 's3lo delete s3://my-bucket/app:v1 s3://my-bucket/app:v2'],
    ['Delete an image with all its tags', 's3lo delete s3://my-bucket/app --all-tags'],
  ],
  parameters: {
    references: someArguments('ref'),
    force: flag('--force', 'delete tags of an immutable image as well'),
    allTags: flag('--all-tags', 'delete every tag of images that are named without a tag'),
  },
  async run({ args, host, options: { signal }, status }) {
    const { references, force, allTags } = args
    const deleted: DeleteResult[] = []
    const onDeleted = (result: DeleteResult): void => {
      status(`Deleted ${result.ref}`)
      deleted.push(result)
    }
    try {
      for (const reference of references) {
        if (allTags) await host.deleteAllTags(reference, { signal, force, onDeleted })
        else onDeleted(await host.delete(reference, { signal, force }))
      }
    } catch (error) {
      if (deleted.length === 0) throw error
      return { result: { deleted }, render: () => '', error }
    }
    const [first] = deleted
    return { result: references.length === 1 && !allTags ? first : deleted, render: () => '' }
  },
})
