import type { HostOptions } from '@s3lo/core'
import type { S3loContext } from './context.ts'
import { type Interruption, listenForSignals } from './interrupt.ts'
import { createPluginLoader } from './plugin-loader.ts'
import { run } from './run.ts'

/** Runs this process's command line and ends the process with its status. */
export async function runProcess(): Promise<never> {
  // The reader of the output may leave at any time; a write after that is reported where it happens.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  // What a library warns of is meant for who wrote the program, and would pass for a message of ours.
  if (!process.argv.includes('--verbose')) process.removeAllListeners('warning')
  process.on('uncaughtException', (error) => {
    void exitWith(error)
  })
  const interruption = listenForSignals(process, (status) => process.exit(status))
  const status = await run(createContext(interruption))
  await written(process.stderr)
  // Sockets that clients keep open, and work that was abandoned, are nothing to wait for.
  return process.exit(status)
}

/** Waits until everything that was written to a stream has left it, or cannot any more. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve())
  })
}

/** The end of a process in which a promise was rejected without a handler. */
async function exitWith(error: unknown): Promise<never> {
  const { exitStatusOf, formatError } = await import('./exit.ts')
  process.stderr.write(formatError(error, { env: process.env }))
  return process.exit(exitStatusOf(error))
}

function createContext(interruption: Interruption): S3loContext {
  const { env, stdout, stderr } = process
  const plugins = createPluginLoader({ env })
  return {
    env,
    // Made when it is read: most commands never do, and making it costs time.
    get stdin() {
      return process.stdin
    },
    stdout,
    stderr,
    argv: process.argv.slice(2),
    interruption,
    plugins,
    async openHost(options: HostOptions) {
      const { createHost } = await import('@s3lo/core/host')
      return createHost({ ...options, findPlugin: plugins.find })
    },
  }
}
