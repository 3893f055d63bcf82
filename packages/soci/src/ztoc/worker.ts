import { parentPort, workerData } from 'node:worker_threads'
import { isS3loError } from '@s3lo/core/plugin'
import type { FromWorker, ToWorker } from './build.ts'
import { ZtocBuilder, type ZtocOptions } from './ztoc-builder.ts'

/** Builds one zTOC of the chunks that the parent posts, and ends. */
const port = parentPort
if (!port) throw new Error('this file runs as a worker')
const builder = new ZtocBuilder(workerData as ZtocOptions)

port.on('message', (message: ToWorker) => {
  try {
    if (message.type === 'chunk') {
      const { buffer, length } = message
      builder.push(new Uint8Array(buffer, 0, length))
      answer({ type: 'taken', buffer }, [buffer])
    } else {
      const built = builder.finish()
      const { buffer } = built.content
      answer({ type: 'built', built }, buffer instanceof ArrayBuffer ? [buffer] : [])
      port.close()
    }
  } catch (error) {
    answer(failureOf(error))
    port.close()
  }
})

function answer(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer)
}

function failureOf(error: unknown): FromWorker {
  if (isS3loError(error)) {
    return { type: 'failed', code: error.code, message: error.message, hint: error.hint }
  }
  const reason = error instanceof Error ? error.message : String(error)
  return { type: 'failed', code: 'INTERNAL', message: `the layer could not be indexed: ${reason}` }
}
