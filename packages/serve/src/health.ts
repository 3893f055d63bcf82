import { BUCKET_CONFIG_KEY, type StorageBackend } from '@s3lo/core/plugin'
import type { Answer } from './answer/answer.ts'
import type { Page } from './options.ts'

/** What a store may take to answer (milliseconds). */
const PATIENCE = 5000

/**
 * The pages that tell an orchestrator whether the process lives (`/healthz`) and whether it shall get
 * requests (`/readyz`): the store answers, and the server is not about to end.
 */
export function healthPages(
  backend: Pick<StorageBackend, 'head'>,
  isEnding: () => boolean,
): Readonly<Record<string, Page>> {
  return {
    '/healthz': () => text(200, 'ok'),
    '/readyz': async () => {
      if (isEnding()) return text(503, 'ending')
      try {
        await backend.head(BUCKET_CONFIG_KEY, { signal: AbortSignal.timeout(PATIENCE) })
        return text(200, 'ok')
      } catch {
        // Its reason is the operator's to find in the log, not the caller's.
        return text(503, 'the store does not answer')
      }
    },
  }
}

function text(status: number, line: string): Answer {
  return { status, headers: { 'content-type': 'text/plain' }, body: `${line}\n` }
}
