import { defineCommand } from '@s3lo/core/plugin'
import { readVersion, versionLine } from '../version.ts'

export default defineCommand({
  examples: [
    ['Show the version', 's3lo version'],
    ['Show it for a program', 's3lo version -o json'],
  ],
  parameters: {},
  async run() {
    const result = readVersion()
    return { result, render: () => `${versionLine(result)}\n` }
  },
})
