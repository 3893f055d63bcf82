import { defineCommand } from '@s3lo/core/plugin'
import { listPlugins } from '../plugin-store.ts'
import { renderPlugin } from '../render/plugin.ts'

export default defineCommand({
  examples: [
    ['List the installed plugins', 's3lo plugin list'],
    ['List them for a program', 's3lo plugin list -o json'],
  ],
  parameters: {},
  async run({ env, options: { signal } }) {
    const result = await listPlugins({ env, signal })
    return { result, render: () => result.map(renderPlugin).join('') }
  },
})
