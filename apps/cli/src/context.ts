import type { Readable, Writable } from 'node:stream'
import type { Host, HostOptions } from '@s3lo/core'
import type { Interruption } from './interrupt.ts'
import type { PluginLoader } from './plugin-loader.ts'

/** What a command line runs in. */
export interface S3loContext {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  /** The words after `s3lo`, as they were typed. */
  readonly argv: readonly string[]
  /** Aborted by Ctrl-C and its like. */
  readonly interruption: Interruption
  readonly plugins: PluginLoader
  /** Makes the host that a command works on, with the plugins of this installation. */
  openHost(options: HostOptions): Promise<Host>
}
