import { argument, defineCommand, flag, option } from '@s3lo/core/plugin'

export default defineCommand({
  examples: [
    ['Push an image of the Docker engine', 's3lo push app:v1 s3://my-bucket/app:v1'],
    [
      'Push what another program writes, and keep the digest',
      'D=$(docker save app:v1 | s3lo push docker-archive:- s3://my-bucket/app:v1)',
    ],
    [
      'See what a push of everything that an archive holds would send',
      's3lo push oci-archive:app.tar local://./store/app:v1 --all-platforms --dry-run',
    ],
  ],
  parameters: {
    image: argument('image'),
    destination: argument('ref'),
    platform: option('--platform', 'push `OS/ARCH` of an image that has several platforms'),
    allPlatforms: flag('--all-platforms', 'push the index with all its platforms and attestations'),
    dryRun: flag('--dry-run', 'show what would be sent, and write nothing'),
    force: flag('--force', 'overwrite the tag even where the image is immutable'),
    validate: flag('--validate', 'publish only what passes the policies of the bucket'),
    allowNoPolicies: flag(
      '--allow-no-policies',
      'pass --validate even if no policy applies to the image',
    ),
  },
  activity: 'Pushing',
  isResumable: true,
  async run({ args, host, options, status }) {
    const { image, destination, dryRun, ...choices } = args
    if (dryRun) {
      const result = await host.push(image, destination, { ...options, ...choices, dryRun })
      const { renderPlannedPush } = await import('@s3lo/views/transfer')
      return { result, render: () => renderPlannedPush(result) }
    }
    status(`Pushing ${image} to ${destination}`)
    const begun = performance.now()
    const result = await host.push(image, destination, { ...options, ...choices })
    const { renderDigest, summarisePush } = await import('@s3lo/views/transfer')
    const summary = summarisePush(result, performance.now() - begun)
    return { result, render: () => renderDigest(result), status: summary }
  },
})
