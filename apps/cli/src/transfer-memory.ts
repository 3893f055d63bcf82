import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes that may pass before what carried them is collected. */
const BYTES_BETWEEN = 8 * 1024 * 1024

/**
 * Keeps a transfer's memory and its collector's work small; the caller reports the bytes that have
 * passed. Every piece that comes from a socket is a buffer whose memory is not on V8's heap. There
 * it is a small object, and V8 lets those gather until they hold 60 MB and more. Collecting only the
 * young ones takes less than a millisecond, and memory that is soon used again is still in the
 * processor's cache.
 */
export function createTransferCollector(): (bytes: number) => void {
  let collect: ((options: { readonly type: 'minor' }) => void) | undefined
  let passed = 0
  return (bytes) => {
    passed += bytes
    if (passed < BYTES_BETWEEN) return
    passed = 0
    // Made with its first use: a context of its own takes as long as a small image.
    collect ??= openCollector()
    collect({ type: 'minor' })
  }
}

function openCollector(): (options: { readonly type: 'minor' }) => void {
  /*
   * A piece that is old by chance counts as growth of a heap that hardly grows: V8 then marks all of
   * it again every 8 MB, which took half of the processor time of a push from an engine. Without
   * marking ahead it collects when memory asks for it.
   */
  setFlagsFromString('--no-incremental-marking')
  process.once('exit', letCompilersEnd)
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as ReturnType<typeof openCollector>
}

/**
 * A process ends when its threads have. Without marking ahead, one that compiles in the background
 * waits for a collection as soon as the heap is at its soft limit, and only the main thread collects:
 * it waits for that thread, for ever (nodejs/node#54918). From here on no thread waits at that limit,
 * and none begins to compile.
 */
function letCompilersEnd(): void {
  setFlagsFromString('--incremental-marking')
  setFlagsFromString('--no-concurrent-recompilation')
}
