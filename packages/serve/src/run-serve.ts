import cluster from 'node:cluster'
import type { CommandWork } from '@s3lo/core/plugin'
import { formatSigningKey, makeSigningKey, parseSigningKey } from './auth/signing-key.ts'
import { readSecurity } from './security.ts'
import { startServing } from './serve.ts'
import { type ServeResult, type ServeSettings, workersOf } from './serve-plan.ts'
import { joinPrimary, type PrimaryProcess, runWorkers } from './workers.ts'

type Work = Pick<
  CommandWork<ServeSettings & { readonly store: string }>,
  'args' | 'host' | 'options' | 'status' | 'env' | 'stderr' | 'onHangUp' | 'passed'
>

/** The work of `s3lo serve`: in this process, or in workers, which are the same command line again. */
export async function runServe(work: Work): Promise<ServeResult> {
  const count = workersOf(work.args)
  if (cluster.isWorker) return serveAsWorker(work)
  return count === 1 ? serveAlone(work) : serveByWorkers(work, count)
}

async function serveAlone(work: Work): Promise<ServeResult> {
  const { args, host, options, status, env, stderr, passed } = work
  const { signal } = options
  const serving = await startServing(host, args.store, args, { signal, env, log: stderr, passed })
  for (const line of serving.lines) status(line)
  return untilStopped(serving, work)
}

async function serveByWorkers(
  { args, env, options: { signal }, status, onHangUp }: Work,
  count: number,
): Promise<ServeResult> {
  const key = makeSigningKey()
  // What is wrong with the configuration is said once, and before a process is started.
  await readSecurity(args, env, key)
  // Results are printed here; what workers log goes where this process logs.
  cluster.setupPrimary({ stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  return runWorkers({
    count,
    key: formatSigningKey(key),
    signal,
    status,
    onHangUp,
    fork: () => {
      const worker = cluster.fork()
      return Object.assign(worker, { kill: worker.process.kill.bind(worker.process) })
    },
  })
}

async function serveAsWorker(work: Work): Promise<ServeResult> {
  const { args, host, options, env, stderr, passed } = work
  const { signal } = options
  const primary = await joinPrimary(process as unknown as PrimaryProcess)
  const serving = await startServing(host, args.store, args, {
    signal,
    env,
    log: stderr,
    passed,
    signingKey: parseSigningKey(primary.key, 'the key of the workers'),
    measureAll: () => primary.measureAll(),
  })
  primary.answerWith(serving.measure)
  primary.ready({ store: serving.store, url: serving.url }, serving.lines)
  const result = await untilStopped(serving, work)
  process.disconnect()
  return result
}

async function untilStopped(
  { store, url, reload, stop }: Awaited<ReturnType<typeof startServing>>,
  { options: { signal }, onHangUp }: Work,
): Promise<ServeResult> {
  const offHangUp = onHangUp(() => void reload())
  await new Promise<void>((resolve) => {
    if (signal?.aborted) resolve()
    else signal?.addEventListener('abort', () => resolve(), { once: true })
  })
  offHangUp()
  await stop()
  return { store, url }
}
