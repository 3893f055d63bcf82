import { isS3loError, type StorageBackend } from '@s3lo/core/plugin'
import type { Metrics } from './metrics.ts'

/** What is counted: the calls that are requests of a store in the main. */
const CALLS = [
  'head',
  'get',
  'put',
  'delete',
  'list',
  'listKeys',
  'listPrefixes',
  'copyFrom',
  'move',
  'touch',
  'presignGet',
] as const

type Call = (...given: unknown[]) => unknown

/** Counts the calls of a backend from now on, by their method and how they end. The backend stays what it is. */
export function measureStore(backend: StorageBackend, metrics: Metrics): void {
  const calls = metrics.counter('s3lo_store_calls_total', 'Calls of the store.')
  const seconds = metrics.histogram('s3lo_store_call_seconds', 'Until the store answered.')
  for (const method of CALLS) {
    const call = backend[method] as Call | undefined
    // A capability that is not there must not seem to be.
    if (call === undefined) continue
    const measured: Call = (...given) => {
      const started = performance.now()
      const result = call.apply(backend, [...given])
      const end = (outcome: string): void => {
        calls.add({ method, outcome })
        seconds.observe((performance.now() - started) / 1000, { method })
      }
      if (result instanceof Promise) {
        result.then(
          () => end('ok'),
          (error: unknown) => end(outcomeOf(error)),
        )
      } else {
        calls.add({ method, outcome: 'ok' }) // A listing: its pages follow as they are read.
      }
      return result
    }
    Object.defineProperty(backend, method, { value: measured, configurable: true, writable: true })
  }
}

/** A fault of the store, or one of its answers: what is not there, and who was faster. */
function outcomeOf(error: unknown): string {
  if (isS3loError(error, 'NOT_FOUND') || isS3loError(error, 'CONFLICT')) return 'refused'
  return isS3loError(error, 'ABORTED') ? 'aborted' : 'failed'
}
