import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'

/*
 * V8 lets the room for new objects double up to 32 MB, which long listings fill with what is garbage
 * a moment later. That room costs 80 MB of memory and saves no time (`pnpm bench`, large stores).
 */
setFlagsFromString('--semi-space-growth-factor=1')

/*
 * Compiled code is kept between runs, in a folder that is the user's own: in a shared one, as the
 * default is, somebody else could leave code for this program to run.
 */
const cache = cacheFolder(process.env)
if (cache !== undefined) enableCompileCache(cache)

const [first, ...rest] = process.argv.slice(2)
const isVersion = rest.length === 0 && (first === '--version' || first === 'version')
if (!isVersion || !(await printVersion())) {
  const { runProcess } = await import('./process.ts')
  await runProcess()
}

/** The version without loading commands; false when it cannot be written, to be told as any error. */
async function printVersion(): Promise<boolean> {
  const { versionLine } = await import('./version.ts')
  const { print } = await import('./print.ts')
  try {
    await print(process.stdout, `${versionLine()}\n`)
    process.exitCode = 0
    return true
  } catch {
    return false
  }
}

function cacheFolder(env: NodeJS.ProcessEnv): string | undefined {
  const { NODE_COMPILE_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = env
  if (NODE_COMPILE_CACHE) return NODE_COMPILE_CACHE
  const home = XDG_CACHE_HOME || LOCALAPPDATA || join(homedir(), '.cache')
  return join(home, 's3lo', 'compiled')
}
