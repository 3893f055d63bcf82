import type { Host, OperationOptions } from '@s3lo/core'
import { Command } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { readVersion, type Version, versionLine } from '../version.ts'

export default class VersionCommand extends S3loCommand {
  static override readonly paths = [['version']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Show the version', 's3lo version'],
      ['Show it for a program', 's3lo version -o json'],
    ],
  })

  protected override run(_host: Host, _options: OperationOptions): Promise<Output> {
    return Promise.resolve({ result: readVersion(), render: renderVersion })
  }
}

function renderVersion(version: Version): string {
  return `${versionLine(version)}\n`
}
