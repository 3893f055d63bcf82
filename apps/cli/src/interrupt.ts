import { constants } from 'node:os'
import { S3loError } from '@s3lo/core/plugin'

/** Where signals come from: the process, or a stand-in for it. */
export interface SignalEmitter {
  on(event: NodeJS.Signals, listener: () => void): unknown
  off(event: NodeJS.Signals, listener: () => void): unknown
}

/** Whether the user wants the work to stop. */
export interface Interruption {
  /** Aborted with an `ABORTED` error by the first signal. */
  readonly signal: AbortSignal
  /** 130 after SIGINT, 143 after SIGTERM; `undefined` before either. */
  readonly exitStatus: number | undefined
  /**
   * Calls back on SIGHUP, which then stops nothing, until the result is called: of work that reads
   * its configuration again.
   */
  onHangUp(listener: () => void): () => void
  /** Leaves signals to the process's defaults again. */
  close(): void
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Listens for signals: the first aborts, the second calls `exitNow` with the status to exit with. */
export function listenForSignals(
  emitter: SignalEmitter,
  exitNow: (status: number) => void,
): Interruption {
  const controller = new AbortController()
  let exitStatus: number | undefined
  const hangUp = new Set<() => void>()
  const listeners = SIGNALS.map((name) => {
    const listener = (): void => {
      if (name === 'SIGHUP' && hangUp.size > 0) {
        for (const changed of hangUp) changed()
        return
      }
      const status = 128 + constants.signals[name]
      if (exitStatus !== undefined) exitNow(status)
      exitStatus ??= status
      controller.abort(new S3loError('ABORTED', 'interrupted'))
    }
    emitter.on(name, listener)
    return [name, listener] as const
  })
  return {
    signal: controller.signal,
    get exitStatus() {
      return exitStatus
    },
    onHangUp(changed) {
      hangUp.add(changed)
      return () => {
        hangUp.delete(changed)
      }
    },
    close() {
      for (const [name, listener] of listeners) emitter.off(name, listener)
    },
  }
}

/** How long work that was told to stop may take to clean up: Ctrl-C shall end within a second (milliseconds). */
const GRACE_MS = 750

/**
 * The outcome of `work`, or the signal's reason as an error when the work has not ended
 * `grace` after the signal was aborted: the caller continues even if the work hangs.
 */
export async function orAbandon<T>(
  work: Promise<T>,
  signal: AbortSignal,
  grace = GRACE_MS,
): Promise<T> {
  const abandoned = Promise.withResolvers<never>()
  let timer: NodeJS.Timeout | undefined
  function startTimer(): void {
    timer = setTimeout(() => abandoned.reject(signal.reason), grace)
  }
  if (signal.aborted) startTimer()
  else signal.addEventListener('abort', startTimer, { once: true })
  try {
    return await Promise.race([work, abandoned.promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', startTimer)
    // Abandoned work may fail: no caller waits for it any more.
    work.catch(() => {})
  }
}
