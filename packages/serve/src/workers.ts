import { S3loError } from '@s3lo/core/plugin'
import type { EventEmitter } from 'node:events'
import type { MetricsSnapshot } from './metrics.ts'
import type { ServeResult } from './serve-plan.ts'

/** What a process of a server with several is told, and tells: messages between processes of ours. */
export type PrimaryMessage =
  /** The key that all sign tokens with, in PEM. */
  | { readonly kind: 'start'; readonly key: string }
  | { readonly kind: 'measure'; readonly id: number }
  | {
      readonly kind: 'measured'
      readonly id: number
      readonly snapshots: readonly MetricsSnapshot[]
    }

export type WorkerMessage =
  | { readonly kind: 'hello' }
  | { readonly kind: 'ready'; readonly result: ServeResult; readonly lines: readonly string[] }
  | { readonly kind: 'snapshot'; readonly id: number; readonly snapshot: MetricsSnapshot }
  | { readonly kind: 'measure-all'; readonly id: number }

/** A worker, as Node's cluster has it. */
export interface WorkerProcess extends EventEmitter {
  /** Without `sent`, a message to a worker that has ended is an error event. */
  send(message: PrimaryMessage, sent: (error: Error | null) => void): unknown
  kill(signal: 'SIGTERM' | 'SIGHUP'): unknown
}

export interface WorkersOptions {
  readonly count: number
  readonly fork: () => WorkerProcess
  /** The key that all sign tokens with, in PEM. */
  readonly key: string
  readonly signal: AbortSignal | undefined
  readonly status: (line: string) => void
  /** Calls back on SIGHUP until the result is called. */
  readonly onHangUp: (changed: () => void) => () => void
}

/** How long the others are waited for when one is asked for the figures of all (milliseconds). */
const MEASURE_PATIENCE = 1_000

/**
 * Runs workers until the signal says stop, and starts another where one has died. Each is a server of
 * its own at the same address. Throws `IO` where one ends before it serves.
 */
export async function runWorkers(options: WorkersOptions): Promise<ServeResult> {
  const { count, fork, signal, status, onHangUp } = options
  const workers = new Set<WorkerProcess>()
  /** Those that know what SIGHUP means. */
  const serving = new Set<WorkerProcess>()
  const measuring = createMeasuring(workers)
  let isEnding = false
  let result: ServeResult | undefined
  const start = (failed: (error: unknown) => void, ended: () => void): void => {
    const worker = fork()
    workers.add(worker)
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'hello') tell(worker, { kind: 'start', key: options.key })
      else if (message.kind === 'ready') {
        serving.add(worker)
        if (!result) for (const line of [...message.lines, `${count} workers`]) status(line)
        result ??= message.result
      } else measuring.take(worker, message)
    })
    worker.once('exit', () => {
      workers.delete(worker)
      const hasServed = serving.delete(worker)
      if (isEnding) ended()
      else if (hasServed) start(failed, ended)
      else failed(new S3loError('IO', 'a worker ended before it served: its own message says why'))
    })
  }
  const endAll = (): void => {
    isEnding = true
    for (const worker of workers) worker.kill('SIGTERM')
  }
  const offHangUp = onHangUp(() => {
    for (const worker of serving) worker.kill('SIGHUP')
  })
  try {
    await new Promise<void>((resolve, reject) => {
      let failure: unknown
      const ended = (): void => {
        if (workers.size > 0) return
        if (failure === undefined) resolve()
        else reject(failure)
      }
      const failed = (error: unknown): void => {
        failure ??= error
        endAll()
        ended()
      }
      for (let i = 0; i < count; i++) start(failed, ended)
      if (signal?.aborted) endAll()
      else signal?.addEventListener('abort', endAll, { once: true })
    })
  } finally {
    offHangUp()
  }
  if (!result) throw new S3loError('ABORTED', 'the server was stopped before it served')
  return result
}

/** Sends a message. One that has ended gets none: its exit is what counts. */
function tell(worker: WorkerProcess, message: PrimaryMessage): void {
  worker.send(message, () => {})
}

/** Collects the figures of all workers for one that was asked for them. */
function createMeasuring(workers: ReadonlySet<WorkerProcess>): {
  take(worker: WorkerProcess, message: Exclude<WorkerMessage, { kind: 'hello' | 'ready' }>): void
} {
  const asked = new Map<number, (snapshot: MetricsSnapshot) => void>()
  let next = 0
  return {
    take(worker, message) {
      if (message.kind === 'snapshot') return asked.get(message.id)?.(message.snapshot)
      const id = next++
      const expected = workers.size
      const snapshots: MetricsSnapshot[] = []
      const finish = (): void => {
        clearTimeout(timer)
        if (!asked.delete(id)) return
        tell(worker, { kind: 'measured', id: message.id, snapshots })
      }
      // A worker that hangs must not keep the figures of the others.
      const timer = setTimeout(finish, MEASURE_PATIENCE)
      asked.set(id, (snapshot) => {
        snapshots.push(snapshot)
        if (snapshots.length >= expected) finish()
      })
      for (const other of workers) tell(other, { kind: 'measure', id })
    },
  }
}

/** The primary, as a worker sees it. */
export interface PrimaryProcess extends EventEmitter {
  send(message: WorkerMessage): unknown
}

/** A worker's line to its primary. */
export interface PrimaryLine {
  /** The key that all workers sign tokens with, in PEM. */
  readonly key: string
  ready(result: ServeResult, lines: readonly string[]): void
  /** The figures of all workers; without an answer in time, none. */
  measureAll(): Promise<readonly MetricsSnapshot[]>
  /** Answers the primary's questions for this worker's own figures. */
  answerWith(read: () => MetricsSnapshot): void
}

/** Says hello, and waits for the key. */
export async function joinPrimary(primary: PrimaryProcess): Promise<PrimaryLine> {
  const waiting = new Map<number, (snapshots: readonly MetricsSnapshot[]) => void>()
  let next = 0
  let read: (() => MetricsSnapshot) | undefined
  const key = await new Promise<string>((resolve) => {
    primary.on('message', (message: PrimaryMessage) => {
      if (message.kind === 'start') resolve(message.key)
      else if (message.kind === 'measured') waiting.get(message.id)?.(message.snapshots)
      else primary.send({ kind: 'snapshot', id: message.id, snapshot: read?.() ?? [] })
    })
    primary.send({ kind: 'hello' })
  })
  return {
    key,
    ready: (result, lines) => void primary.send({ kind: 'ready', result, lines }),
    answerWith(reader) {
      read = reader
    },
    measureAll() {
      const id = next++
      return new Promise((resolve) => {
        const finish = (snapshots: readonly MetricsSnapshot[]): void => {
          clearTimeout(timer)
          waiting.delete(id)
          resolve(snapshots)
        }
        const timer = setTimeout(() => finish([]), 2 * MEASURE_PATIENCE)
        waiting.set(id, finish)
        primary.send({ kind: 'measure-all', id })
      })
    },
  }
}
