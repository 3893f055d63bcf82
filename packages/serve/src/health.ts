import { BUCKET_CONFIG_KEY, type StorageBackend } from '@s3lo/core/plugin'
import type { Answer } from './answer/answer.ts'
import type { Page } from './options.ts'

/** What a store may take to answer (milliseconds). */
const PATIENCE = 5000

/** How long its answer counts (milliseconds): anyone may ask as often as they like. */
const MEMORY = 1000

/**
 * The pages that tell an orchestrator whether the process lives (`/healthz`) and whether it shall get
 * requests (`/readyz`): the store answers, and the server is not about to end.
 */
export function healthPages(
  backend: Pick<StorageBackend, 'head'>,
  isEnding: () => boolean,
  now: () => number = () => performance.now(),
): Readonly<Record<string, Page>> {
  let last: { readonly at: number; readonly answers: Promise<boolean> } | undefined
  const answers = (): Promise<boolean> => {
    const at = now()
    if (last && at - last.at < MEMORY) return last.answers
    last = { at, answers: doesAnswer(backend) }
    return last.answers
  }
  return {
    '/healthz': () => text(200, 'ok'),
    '/readyz': async () => {
      if (isEnding()) return text(503, 'ending')
      return (await answers()) ? text(200, 'ok') : text(503, 'the store does not answer')
    },
  }
}

/** The reason is the operator's to find in the log, not the caller's. */
async function doesAnswer(backend: Pick<StorageBackend, 'head'>): Promise<boolean> {
  try {
    await backend.head(BUCKET_CONFIG_KEY, { signal: AbortSignal.timeout(PATIENCE) })
    return true
  } catch {
    return false
  }
}

function text(status: number, line: string): Answer {
  return { status, headers: { 'content-type': 'text/plain' }, body: `${line}\n` }
}
