import { copy, formatPlatform, parseExplicitReference } from '@s3lo/core'
import { argument, defineCommand, flag, optionalArgument, S3loError } from '@s3lo/core/plugin'
import { IndexBuilder } from '../index/build.ts'
import { convert } from '../index/convert.ts'
import {
  BUILD_PARAMETERS,
  builderOptions,
  chosenPlatforms,
  describeBuilt,
  onImage,
  toBuilt,
} from './soci-command.ts'

/** `s3lo soci convert`: an image that names its indexes, of version 2. */
export default defineCommand({
  examples: [
    [
      'Make a copy that starts before it is pulled',
      's3lo soci convert s3://my-bucket/app:v1 s3://my-bucket/app:v1-soci',
    ],
    ['Convert a tag where it is', 's3lo soci convert s3://my-bucket/app:v1 --in-place'],
    [
      'Convert every platform',
      's3lo soci convert s3://my-bucket/app:v1 s3://my-bucket/app:lazy --all-platforms',
    ],
  ],
  parameters: {
    ref: argument('ref'),
    destination: optionalArgument('dest'),
    ...BUILD_PARAMETERS,
    inPlace: flag('--in-place', 'replace the tag that is converted'),
  },
  activity: 'Indexing',
  isResumable: true,
  run(work) {
    const { args, host, options } = work
    return onImage('v2', work, async (artifacts, reference) => {
      const located = await host.locate(destinationOf(args), { ...options, creates: true })
      const to = parseExplicitReference(located)
      const { signal } = options
      const root = await artifacts.store.resolve(reference, { signal })
      const builder = new IndexBuilder(
        artifacts,
        artifacts,
        artifacts.db,
        builderOptions(args, options, to.name),
      )
      const platforms = chosenPlatforms(args)
      const { allPlatforms } = args
      const converted = await convert(builder, root, { platforms, allPlatforms, signal })
      for (const { index } of converted.indexes) await artifacts.keepZtocs(index, { signal })
      const target = await host.openStore(located, { names: 'image', signal })
      try {
        const source = artifacts.publishable(converted.document)
        const { force } = args
        await copy({ source, reference }, { target, reference: to }, { ...options, force })
      } finally {
        await target.close()
      }
      const indexes = converted.indexes.map((built) =>
        toBuilt(built, formatPlatform(built.platform)),
      )
      const { digest } = converted.document.descriptor
      const empty = converted.empty.map(formatPlatform)
      return {
        result: {
          reference: destinationOf(args),
          digest,
          indexes,
          not_indexed: empty,
          attestations: converted.attestations,
        },
        render: () => `${digest}\n`,
        status: [
          ...indexes.flatMap(describeBuilt),
          ...empty.map((platform) => `${platform}: no layer was indexed`),
          ...describeAttestations(converted.attestations),
        ],
      }
    })
  },
})

function destinationOf({
  destination,
  inPlace,
  ref,
}: {
  readonly destination: string | undefined
  readonly inPlace: boolean
  readonly ref: string
}): string {
  if (destination !== undefined && !inPlace) return destination
  if (destination === undefined && inPlace) return ref
  throw new S3loError('USAGE', 'give either a destination or --in-place', {
    hint: `for example s3lo soci convert ${ref} ${ref}-soci`,
  })
}

function describeAttestations(count: number): readonly string[] {
  if (count === 0) return []
  return [
    `${count} attestations name the new manifests; what they say inside is of the old ones, of the same layers`,
  ]
}
