import type { Host, OperationOptions } from '@s3lo/core'
import type { LogoutResult } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'

export default class LogoutCommand extends S3loCommand {
  static override readonly paths = [['logout']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Forget the credentials for the registry of GitHub', 's3lo logout ghcr.io'],
      ['Forget the credentials for Docker Hub', 's3lo logout docker.io'],
    ],
  })

  registry = Option.String({ name: 'registry' })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const result = await host.logout(this.registry, { signal })
    return { result, render: () => '', status: linesOf(result) }
  }
}

function linesOf({ host, removedFrom, remainingIn }: LogoutResult): readonly string[] {
  const done =
    removedFrom.length === 0
      ? `Not logged in to ${host}.`
      : `Logged out of ${host}: removed from ${removedFrom.join(' and ')}.`
  return [done, ...remainingIn.map((file) => `note: ${file} still has credentials for ${host}`)]
}
