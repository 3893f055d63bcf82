import { homedir } from 'node:os'
import { join } from 'node:path'

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The user's own folder of s3lo: plugins and the list of them. `S3LO_CONFIG_HOME`, else the
 * platform's place for configuration.
 */
export function userFolder(env: Environment): string {
  const own = env['S3LO_CONFIG_HOME']
  if (own) return own
  const appData = env['APPDATA']
  if (process.platform === 'win32' && appData) return join(appData, 's3lo')
  return join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 's3lo')
}

/** The file that names the user's plugins. */
export function pluginListFile(env: Environment): string {
  return join(userFolder(env), 'plugins.json')
}
