import type { ClientRequest } from 'node:http'

/** What may wait for the engine: more of the body is read and verified while it takes the rest. */
const PENDING_BYTES = 1024 * 1024

/**
 * Sends a body with back-pressure. It stops early, and without an error, when the engine answers
 * or goes away: what it said is worth more than our broken pipe. A failure of the body is thrown.
 */
export async function upload(
  request: ClientRequest,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  let over = false
  let wake: (() => void) | undefined
  const finish = (): void => {
    over = true
    wake?.()
  }
  request.once('response', finish).once('close', finish)
  request.on('drain', () => wake?.())
  for await (const chunk of body) {
    if (over) break
    if (request.write(chunk) || request.writableLength < PENDING_BYTES) continue
    await new Promise<void>((resolve) => {
      wake = resolve
      if (over) resolve()
    })
  }
  if (!over) request.end()
}
