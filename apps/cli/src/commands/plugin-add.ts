import { argument, defineCommand } from '@s3lo/core/plugin'
import { NpmWatch } from '../npm-watch.ts'
import { addPlugin } from '../plugin-store.ts'
import { renderPlugin } from '../render/plugin.ts'

export default defineCommand({
  examples: [
    ['Add stores in Amazon S3', 's3lo plugin add @s3lo/backend-s3'],
    ['Add a certain version', 's3lo plugin add @s3lo/backend-s3@0.1.0'],
    ['Add one that you make, from its folder', 's3lo plugin add ./my-plugin'],
  ],
  parameters: {
    package: argument('package'),
  },
  async run({ args, env, options: { signal }, status }) {
    const watch = new NpmWatch(status)
    const result = await addPlugin(args.package, {
      env,
      signal,
      onStatus: status,
      onFetched: watch.onFetched,
    }).finally(() => watch.end())
    return { result, render: () => renderPlugin(result) }
  },
})
