import { argument, defineCommand } from '@s3lo/core/plugin'
import { removePlugin } from '../plugin-store.ts'

export default defineCommand({
  examples: [
    ['Remove a plugin that was added', 's3lo plugin remove @s3lo/backend-s3'],
    ['Remove it and print the result for a program', 's3lo plugin remove @s3lo/backend-s3 -o json'],
  ],
  parameters: {
    package: argument('package'),
  },
  async run({ args, env, options: { signal } }) {
    await removePlugin(args.package, { env, signal })
    const result = { name: args.package, removed: true }
    return { result, render: () => '', status: `Removed ${args.package}` }
  },
})
