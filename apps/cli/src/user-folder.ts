import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The user's own folder of s3lo: plugins and the list of them. `S3LO_CONFIG_HOME`, else the
 * platform's place for configuration. A relative path does not count (as the XDG Base Directory
 * Specification 0.8 has it): it would depend on the working directory.
 */
export function userFolder(env: Environment): string {
  const own = absolute(env['S3LO_CONFIG_HOME'])
  if (own !== undefined) return own
  const appData = absolute(env['APPDATA'])
  if (process.platform === 'win32' && appData !== undefined) return join(appData, 's3lo')
  const home = absolute(env['HOME']) ?? homedir()
  return join(absolute(env['XDG_CONFIG_HOME']) ?? join(home, '.config'), 's3lo')
}

/** The file that names the user's plugins. */
export function pluginListFile(env: Environment): string {
  return join(userFolder(env), 'plugins.json')
}

function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined
}
