import { argument, defineCommand, type LogoutResult } from '@s3lo/core/plugin'

export default defineCommand({
  examples: [
    ['Forget the credentials for the registry of GitHub', 's3lo logout ghcr.io'],
    ['Forget the credentials for Docker Hub', 's3lo logout docker.io'],
  ],
  parameters: {
    registry: argument('registry'),
  },
  async run({ args: { registry }, host, options: { signal } }) {
    const result = await host.logout(registry, { signal })
    return { result, render: () => '', status: linesOf(result) }
  },
})

function linesOf({ host, removedFrom, remainingIn }: LogoutResult): readonly string[] {
  const done =
    removedFrom.length === 0
      ? `Not logged in to ${host}.`
      : `Logged out of ${host}: removed from ${removedFrom.join(' and ')}.`
  return [done, ...remainingIn.map((file) => `note: ${file} still has credentials for ${host}`)]
}
