import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where the user's cache folder is said to be. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The folder of s3lo's caches, which need not be there; `undefined` without a home. */
export function cacheFolder(env: Environment): string | undefined {
  const named = process.platform === 'win32' ? env['LOCALAPPDATA'] : env['XDG_CACHE_HOME']
  if (named) return join(named, 's3lo')
  const home = env['HOME'] || homedir()
  return home ? join(home, '.cache', 's3lo') : undefined
}
