import { formatPlatform, hostPlatform, noSuchPlatform, type Platform, runsOn } from '@s3lo/core'
import { Command } from 'clipanion'
import { IndexBuilder } from '../index/build.ts'
import { indexPlatforms, manifestPlatform } from '../index/image-platforms.ts'
import { BuildCommand, type BuiltIndex, describeBuilt, toBuilt } from './soci-command.ts'

/** `s3lo soci create`: an index of version 1, attached to the image that it leaves as it is. */
export default class SociCreateCommand extends BuildCommand {
  static override readonly paths = [['soci', 'create']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Attach an index to an image', 's3lo soci create s3://my-bucket/app:v1'],
      ['Index every platform', 's3lo soci create s3://my-bucket/app:v1 --all-platforms'],
      ['Index small layers too', 's3lo soci create s3://my-bucket/app:v1 --min-layer-size 0'],
    ],
  })

  override execute(): Promise<number> {
    return this.onImage('v1', async (artifacts, reference, { options }) => {
      const { signal } = options
      const root = await artifacts.store.read(reference, { signal })
      const { manifest } = root
      const builder = new IndexBuilder(
        artifacts,
        artifacts,
        artifacts.db,
        this.builderOptions(options),
      )
      const single =
        manifest.kind === 'manifest'
          ? [await manifestPlatform(artifacts, root, { signal })]
          : undefined
      const all = single ?? (await indexPlatforms(artifacts, root, { signal }))
      const chosen = this.allPlatforms ? all : this.#chosen(single)
      const indexes: BuiltIndex[] = []
      for (const platform of chosen) {
        const built = await builder.build(root.descriptor, { platform, version: 'v1', signal })
        if (this.force) {
          await artifacts.detachOthers(built.document.descriptor, built.manifest, { signal })
        }
        await artifacts.keepZtocs(built.index, { signal })
        indexes.push(toBuilt(built, formatPlatform(platform)))
      }
      return {
        result: { reference: this.ref, indexes },
        render: () => indexes.map(({ digest }) => `${digest}\n`).join(''),
        status: indexes.flatMap(describeBuilt),
      }
    })
  }

  /** A single image is taken for what it is, unless another platform was asked for. */
  #chosen(single: readonly Platform[] | undefined): readonly Platform[] {
    const named = this.chosenPlatforms()
    if (!single) return named ?? [hostPlatform()]
    const [own] = single
    const wrong = named?.find((platform) => own && !runsOn(own, platform))
    if (own && wrong) throw noSuchPlatform([{ platform: own }], wrong)
    return single
  }
}
