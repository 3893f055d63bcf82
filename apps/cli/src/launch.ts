import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'

/** Microseconds of processor time after which a command is one that lasts: what it needs is loaded. */
const LASTING_US = 120_000

/*
 * V8 lets the room for new objects double up to 32 MB, which long listings fill with what is garbage
 * a moment later. That room costs 80 MB of memory and saves no time (`pnpm bench`, large stores).
 *
 * V8 lets a small heap grow to twice what is in use before it collects what is old. Buffers of the
 * thousand manifests before are among that: collecting earlier saves a fifth of the memory of
 * commands on large stores, and takes no time that can be measured.
 */
const FLAGS = [
  { lasting: '--semi-space-growth-factor=1', usual: '--semi-space-growth-factor=2' },
  { lasting: '--heap-growing-percent=10', usual: '--heap-growing-percent=0' },
] as const

/*
 * Not from the start: compiled code is of the flags that it was compiled with, Node's own modules too, so
 * that each that is loaded behind these is compiled anew: 20 ms of a copy from a registry. At the end
 * they are taken back, or what is kept of this run would be of other flags than the next one starts with.
 */
const watch = setInterval(() => {
  const { user, system } = process.cpuUsage()
  if (user + system < LASTING_US) return
  clearInterval(watch)
  for (const { lasting } of FLAGS) setFlagsFromString(lasting)
  process.once('exit', () => {
    for (const { usual } of FLAGS) setFlagsFromString(usual)
  })
}, 50).unref()

/*
 * The room for new objects is small, and one thread clears it in less time than it takes to wake others:
 * commands on large stores take 5 to 10 percent less CPU. Compiled code does not depend on this one.
 */
setFlagsFromString('--no-parallel-scavenge')

/*
 * The threads that write files also wait for the disk: of four, layers that are flushed left none for the others
 * to be written. A copy of 1 GB takes a tenth less time.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '8'

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
