import { copy, formatPlatform, parseExplicitReference } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { IndexBuilder } from '../index/build.ts'
import { convert } from '../index/convert.ts'
import { BuildCommand, describeBuilt, toBuilt } from './soci-command.ts'

/** `s3lo soci convert`: an image that names its indexes, of version 2. */
export default class SociConvertCommand extends BuildCommand {
  static override readonly paths = [['soci', 'convert']]
  static override readonly usage = Command.Usage({
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
  })

  destination = Option.String({ name: 'dest', required: false })
  inPlace = Option.Boolean('--in-place', false, {
    description: 'replace the tag that is converted',
  })

  override execute(): Promise<number> {
    return this.onImage('v2', async (artifacts, reference, { host, options }) => {
      const located = await host.locate(this.#destination(), { ...options, creates: true })
      const to = parseExplicitReference(located)
      const { signal } = options
      const root = await artifacts.store.resolve(reference, { signal })
      const builder = new IndexBuilder(
        artifacts,
        artifacts,
        artifacts.db,
        this.builderOptions(options),
      )
      const platforms = this.chosenPlatforms()
      const { allPlatforms } = this
      const converted = await convert(builder, root, { platforms, allPlatforms, signal })
      for (const { index } of converted.indexes) await artifacts.keepZtocs(index, { signal })
      const target = await host.openStore(located, { names: 'image', signal })
      try {
        const source = artifacts.publishable(converted.document)
        const { force } = this
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
          reference: this.#destination(),
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
  }

  #destination(): string {
    const { destination, inPlace, ref } = this
    if (destination !== undefined && !inPlace) return destination
    if (destination === undefined && inPlace) return ref
    throw new S3loError('USAGE', 'give either a destination or --in-place', {
      hint: `for example s3lo soci convert ${ref} ${ref}-soci`,
    })
  }
}

function describeAttestations(count: number): readonly string[] {
  if (count === 0) return []
  return [
    `${count} attestations name the new manifests; what they say inside is of the old ones, of the same layers`,
  ]
}
