import { argument, defineCommand } from '@s3lo/core/plugin'
import { mendKept, NamedZtocs } from '../artifacts/mend-kept.ts'
import { type RepositoryImage, syncWithLocalStore } from '../artifacts/sync.ts'
import type { Index } from '../index/soci-index.ts'
import { onStore } from './soci-command.ts'

/** `s3lo soci rebuild`. */
export default defineCommand({
  examples: [
    ['Record what other tools have made', 's3lo soci rebuild s3://my-bucket/'],
    ['See what was recorded and forgotten', 's3lo soci rebuild s3://my-bucket/ -o json'],
  ],
  parameters: { store: argument('store') },
  activity: 'Recording',
  isResumable: true,
  run(work) {
    const { args, host, options } = work
    return onStore(args.store, work, async (artifacts) => {
      const { signal, onProgress } = options
      const listed = await host.list(args.store, { signal })
      const blobs = listed.reduce((sum, { tags }) => sum + tags.length, 0)
      onProgress?.({ type: 'plan', blobs, bytes: 0 })
      async function* images(): AsyncGenerator<RepositoryImage> {
        for (const { name, tags } of listed) {
          for (const tag of tags) {
            const image = await artifacts.resolve({ name, tag }, { signal })
            yield { repository: name, image }
          }
        }
      }
      const named = new NamedZtocs()
      const onIndex = (index: Index): void => named.add(index)
      const { db } = artifacts
      const { added, removed } = await syncWithLocalStore(db, artifacts, images(), {
        onIndex,
        onImage: (descriptor) =>
          onProgress?.({ type: 'blob', phase: 'done', descriptor, platform: 'single' }),
        signal,
      })
      const { replaced, dropped } = await mendKept(artifacts, named, { signal })
      const mended =
        replaced.length + dropped.length > 0
          ? `; kept zTOCs: ${replaced.length} replaced, ${dropped.length} removed`
          : ''
      const status = `${added.length} recorded, ${removed.length} forgotten${mended}`
      return { result: { added, removed, replaced, dropped }, render: () => '', status }
    })
  },
})
