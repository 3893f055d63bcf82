/**
 * One participant of a shared directory, to be started with a clock of its own: `clock-worker.ts push
 * DIRECTORY` stops before it publishes until it is sent a message, `clock-worker.ts clean DIRECTORY`
 * deletes at once; `killed` is a clean that stops before it deletes. The result is sent as a {@link ClockReport}.
 */
import { once } from 'node:events'
import { openBackend } from '@s3lo/backend-local'
import { clean, copy, ImageStore, type ProgressEvent } from '@s3lo/core'
import { FaultyBackend, FixtureSource, imageFixture } from '@s3lo/core/testing'

export const SHARED_IMAGE = imageFixture({ layers: ['base', 'top'] })
export const SHARED_TAG = { name: 'app', tag: 'v1' }

export interface ClockReport {
  /** Milliseconds since 1970 by the clock of the process. */
  readonly clock: number
  /** Codes of notices, in order. */
  readonly notices: readonly string[]
  /** Of a clean: objects that were deleted, and that a running push kept. */
  readonly deleted?: number
  readonly pinned?: number
}

const notices: string[] = []
const onProgress = (event: ProgressEvent): void => {
  if (event.type === 'notice') notices.push(event.code)
}

async function push(directory: string): Promise<object> {
  const backend = new FaultyBackend(
    await openBackend({ scheme: 'local', bucket: directory }, { env: {} }),
    {
      before: async ({ method, key }) => {
        // The image's record: from it on a collector sees what the image needs without any pin.
        if (method !== 'put' || !key.startsWith('.s3lo/repositories/')) return
        process.send?.('paused')
        await once(process, 'message')
      },
    },
  )
  const source = new FixtureSource({ 'app:v1': SHARED_IMAGE })
  const target = new ImageStore(backend)
  const from = { source, reference: SHARED_TAG }
  await copy(from, { target, reference: SHARED_TAG }, { onProgress })
  await target.close()
  return {}
}

async function collect(directory: string): Promise<object> {
  const store = new ImageStore(
    await openBackend({ scheme: 'local', bucket: directory }, { env: {} }),
  )
  const result = await clean(store, '', {
    confirm: true,
    graceMs: 0,
    expectFewer: true,
    onProgress,
  })
  await store.close()
  return { deleted: result.deleted, pinned: result.skipped_pinned }
}

/** Opens a round and never deletes: to be killed there. */
async function stall(directory: string): Promise<object> {
  const local = await openBackend({ scheme: 'local', bucket: directory }, { env: {} })
  const backend = new FaultyBackend(local, {
    before: async ({ method, key }) => {
      if (method !== 'delete' || !key.startsWith('blobs/')) return
      process.send?.('deleting')
      await new Promise(() => setInterval(() => {}, 60_000))
    },
  })
  return clean(new ImageStore(backend), '', { confirm: true, graceMs: 0, expectFewer: true })
}

const [, , role = '', directory = ''] = process.argv
const ROLES: Readonly<Record<string, typeof push>> = { push, clean: collect, killed: stall }
const work = ROLES[role]
if (work) {
  const result = await work(directory)
  process.send?.({ clock: Date.now(), notices, ...result } satisfies ClockReport)
  process.disconnect()
}
