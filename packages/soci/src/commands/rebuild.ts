import type { Descriptor } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { mendKept, NamedZtocs } from '../artifacts/mend-kept.ts'
import { syncWithLocalStore } from '../artifacts/sync.ts'
import type { Index } from '../index/soci-index.ts'
import { SociCommand } from './soci-command.ts'

/** `s3lo soci rebuild`. */
export default class SociRebuildCommand extends SociCommand {
  static override readonly paths = [['soci', 'rebuild']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Record what other tools have made', 's3lo soci rebuild s3://my-bucket/'],
      ['See what was recorded and forgotten', 's3lo soci rebuild s3://my-bucket/ -o json'],
    ],
  })

  store = Option.String({ name: 'store' })

  override execute(): Promise<number> {
    return this.onStore(this.store, 'Recording', async (artifacts, { host, options }) => {
      const { signal, onProgress } = options
      const listed = await host.list(this.store, { signal })
      const blobs = listed.reduce((sum, { tags }) => sum + tags.length, 0)
      onProgress?.({ type: 'plan', blobs, bytes: 0 })
      async function* images(): AsyncGenerator<Descriptor> {
        for (const { name, tags } of listed) {
          for (const tag of tags) {
            yield await artifacts.resolve({ name, tag }, { signal })
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
  }
}
