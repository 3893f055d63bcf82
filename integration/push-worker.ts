/**
 * A process that pushes one image to a local store and tells how it went on stdout, for tests that
 * race such processes or kill them. Arguments: store root, tag, image number, and the number of the
 * storage call before which the process kills itself (0: never).
 */
import { createHost, definePlugin, type StorageBackend } from '@s3lo/core'
import { FaultyBackend, FixtureSource, imageFixture, type ImageFixture } from '@s3lo/core/testing'
import localPlugin from '@s3lo/backend-local/plugin'
import { flushCompileCache } from 'node:module'
import { createInterface } from 'node:readline'

const LAYERS = 6
const LAYER_BYTES = 256 * 1024

/** Image `n` of the tests: large enough that a push takes several writes of each blob. */
export function numberedImage(n: number): ImageFixture {
  const layers = Array.from({ length: LAYERS }, (_, i) => Buffer.alloc(LAYER_BYTES, `${n} ${i} `))
  return imageFixture({ layers, label: `image ${n}` })
}

/** A host whose `numbered:N` images are {@link numberedImage}s and whose stores die at call `killAt`. */
export function crashingHost(killAt: number): {
  push: (root: string, tag: string, n: number) => Promise<number>
} {
  let calls = 0
  function dying(backend: StorageBackend): StorageBackend {
    return new FaultyBackend(backend, {
      before: () => {
        calls++
        if (calls === killAt) process.kill(process.pid, 'SIGKILL')
      },
    })
  }
  const host = createHost({
    plugins: [
      definePlugin({
        name: 'crashing',
        apiVersion: 1,
        backends: {
          local: {
            summary: 'local, with a fault',
            load: async () => {
              const { openBackend } = await localPlugin.backends.local.load()
              return { openBackend: async (...args) => dying(await openBackend(...args)) }
            },
          },
        },
        sources: {
          numbered: {
            summary: 'numbered images',
            load: () =>
              Promise.resolve({
                openSource: (text) =>
                  Promise.resolve({
                    source: new FixtureSource({ 'image:latest': numberedImage(Number(text)) }),
                    reference: { name: 'image', tag: 'latest' },
                  }),
              }),
          },
        },
      }),
    ],
  })
  return {
    push: async (root, tag, n) => {
      await host.push(`numbered:${n}`, `local://${root}//app:${tag}`)
      return calls
    },
  }
}

/** Reads `root tag image` lines and answers each with `ok CALLS` or the error's code. */
async function serve(killAt: number): Promise<void> {
  const { push } = crashingHost(killAt)
  process.stdout.write('ready\n')
  for await (const line of createInterface({ input: process.stdin })) {
    const [root = '', tag = '', n = '0'] = line.split('\t')
    const answer = await push(root, tag, Number(n)).then(
      (calls) => `ok ${calls}`,
      (error: { code?: string }) => String(error.code),
    )
    process.stdout.write(`${answer}\n`)
    // The end of this process is a signal, which keeps nothing.
    flushCompileCache()
  }
}

if (process.argv[1] === import.meta.filename) await serve(Number(process.argv[2] ?? 0))
