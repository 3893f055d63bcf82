import type { DeleteResult } from '@s3lo/core'
import { defineCommand, flag, someArguments } from '@s3lo/core/plugin'
import { deletedNote, keptAfterDelete } from '@s3lo/views/deletion'

export default defineCommand({
  examples: [
    ['Delete a tag', 's3lo delete s3://my-bucket/app:v1'],
    [
      'Delete an image at once, with all tags that name it',
      's3lo delete s3://my-bucket/app@sha256:…',
    ],
    ['Delete an image with all its tags', 's3lo delete s3://my-bucket/app --all-tags'],
  ],
  parameters: {
    references: someArguments('ref'),
    force: flag('--force', 'delete tags of an immutable image as well'),
    purge: flag('--purge', 'keep nothing: neither the image by its digest nor its history'),
    allTags: flag('--all-tags', 'delete every tag of images that are named without a tag'),
  },
  async run({ args, host, options: { signal, onProgress }, status }) {
    const { references, force, purge, allTags } = args
    const deleted: DeleteResult[] = []
    const onDeleted = (result: DeleteResult): void => {
      status(deletedNote(result))
      deleted.push(result)
    }
    try {
      for (const reference of references) {
        const options = { signal, onProgress, force, purge }
        if (allTags) await host.deleteAllTags(reference, { ...options, onDeleted })
        else onDeleted(await host.delete(reference, options))
      }
    } catch (error) {
      if (deleted.length === 0) throw error
      return { result: { deleted }, render: () => '', error }
    }
    for (const line of keptAfterDelete(deleted)) status(line)
    const [first] = deleted
    return { result: references.length === 1 && !allTags ? first : deleted, render: () => '' }
  },
})
