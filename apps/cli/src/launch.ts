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
 * V8 lets a small heap grow to twice what is in use before it collects what is old. Buffers of the
 * thousand manifests before are among that: collecting earlier saves a fifth of the memory of
 * commands on large stores, and takes no time that can be measured.
 */
setFlagsFromString('--heap-growing-percent=10')

/*
 * The room for new objects is a megabyte, which one thread clears in less time than it takes to wake
 * others: commands on large stores take 5 to 10 percent less CPU.
 */
setFlagsFromString('--no-parallel-scavenge')

/*
 * Compiled code is kept between runs, in a folder that is the user's own: in a shared one, as the
 * default is, another user could leave code for this program to run.
 */
const cache = cacheFolder(process.env)
if (cache !== undefined) enableCompileCache(cache)

void run()

/** Loads the commands only now, so that what is compiled of them is kept. */
async function run(): Promise<void> {
  const { runProcess } = await import('./process.ts')
  await runProcess()
}

function cacheFolder(env: NodeJS.ProcessEnv): string | undefined {
  const { NODE_COMPILE_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = env
  if (NODE_COMPILE_CACHE) return NODE_COMPILE_CACHE
  const home = XDG_CACHE_HOME || LOCALAPPDATA || join(homedir(), '.cache')
  return join(home, 's3lo', 'compiled')
}
