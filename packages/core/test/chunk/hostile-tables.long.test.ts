import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import type { Ended } from './hostile-tables.ts'

/** What a process of Node has for its heap where it is given little. A reader that needs more ends the thread. */
const MEMORY_MB = 1024

/** In a thread of its own. */
async function readIn(kind: string, megabytes = MEMORY_MB): Promise<Ended> {
  const worker = new Worker(new URL('hostile-tables.ts', import.meta.url), {
    workerData: kind,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: megabytes },
  })
  const [ended] = (await once(worker, 'message')) as [Ended]
  return ended
}

it.each([
  ['entries', 'UNSUPPORTED', /over 268435456 bytes of metadata/],
  ['attributes', 'UNSUPPORTED', /over 268435456 bytes of metadata/],
  ['names', 'UNSUPPORTED', /over 268435456 bytes of metadata/],
  ['text', 'INTEGRITY', /^\.s3lo\/files\/.* is too long$/],
  ['folders', 'INTEGRITY', /implies over 1000000 directories/],
  ['links', 'INTEGRITY', /links lead through over 16000000 directories/],
])('a small table with too many %s is refused in bounded memory', async (kind, code, message) => {
  const ended = await readIn(kind)
  expect(ended).toMatchObject({ code, message: expect.stringMatching(message) })
  expect(ended.stored).toBeLessThan(16 * 1024 * 1024)
})

it('a reader that needs more memory than there is fails that test', async () => {
  await expect(readIn('folders', 64)).rejects.toMatchObject({ code: 'ERR_WORKER_OUT_OF_MEMORY' })
})
