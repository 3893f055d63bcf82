import type { Host, HostOptions } from '@s3lo/core'
import type { BaseContext } from 'clipanion'
import type { Interruption } from './interrupt.ts'
import type { PluginLoader } from './plugin-loader.ts'

/** What every command finds in `this.context`; those of plugins find a `CommandContext` besides. */
export interface S3loContext extends BaseContext {
  /** The words after `s3lo`, as they were typed. */
  readonly argv: readonly string[]
  /** Aborted by Ctrl-C and its like. */
  readonly interruption: Interruption
  readonly plugins: PluginLoader
  /** Makes the host that a command works on, with the plugins of this installation. */
  openHost(options: HostOptions): Promise<Host>
}
