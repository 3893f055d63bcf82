import { formatPlatform, hostPlatform, noSuchPlatform, type Platform, runsOn } from '@s3lo/core'
import { argument, defineCommand } from '@s3lo/core/plugin'
import { IndexBuilder } from '../index/build.ts'
import { indexPlatforms, manifestPlatform } from '../index/image-platforms.ts'
import {
  BUILD_PARAMETERS,
  builderOptions,
  type BuiltIndex,
  chosenPlatforms,
  describeBuilt,
  onImage,
  toBuilt,
} from './soci-command.ts'

/** `s3lo soci create`: an index of version 1, attached to the image that it leaves as it is. */
export default defineCommand({
  examples: [
    ['Attach an index to an image', 's3lo soci create s3://my-bucket/app:v1'],
    ['Index every platform', 's3lo soci create s3://my-bucket/app:v1 --all-platforms'],
    ['Index small layers too', 's3lo soci create s3://my-bucket/app:v1 --min-layer-size 0'],
  ],
  parameters: { ref: argument('ref'), ...BUILD_PARAMETERS },
  activity: 'Indexing',
  isResumable: true,
  run(work) {
    const { args, options } = work
    return onImage('v1', work, async (artifacts, reference) => {
      const { signal } = options
      const root = await artifacts.store.read(reference, { signal })
      const { manifest } = root
      const builder = new IndexBuilder(
        artifacts,
        artifacts,
        artifacts.db,
        builderOptions(args, options, reference.name),
      )
      const single =
        manifest.kind === 'manifest'
          ? [await manifestPlatform(artifacts, root, { signal })]
          : undefined
      const all = single ?? (await indexPlatforms(artifacts, root, { signal }))
      const chosen = args.allPlatforms ? all : chosenOf(single, chosenPlatforms(args))
      const indexes: BuiltIndex[] = []
      for (const platform of chosen) {
        const built = await builder.build(root.descriptor, { platform, version: 'v1', signal })
        if (args.force) {
          await artifacts.detachOthers(built.document.descriptor, built.manifest, { signal })
        }
        await artifacts.keepZtocs(built.index, { signal })
        indexes.push(toBuilt(built, formatPlatform(platform)))
      }
      return {
        result: { reference: args.ref, indexes },
        render: () => indexes.map(({ digest }) => `${digest}\n`).join(''),
        status: indexes.flatMap(describeBuilt),
      }
    })
  },
})

/** A single image is taken for what it is, unless another platform was asked for. */
function chosenOf(
  single: readonly Platform[] | undefined,
  named: readonly Platform[] | undefined,
): readonly Platform[] {
  if (!single) return named ?? [hostPlatform()]
  const [own] = single
  const wrong = named?.find((platform) => own && !runsOn(own, platform))
  if (own && wrong) throw noSuchPlatform([{ platform: own }], wrong)
  return single
}
