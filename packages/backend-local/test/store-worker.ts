/** A process of its own that works on a store: `store-worker.ts JOB DIRECTORY [UPLOAD]`. Starts on a message. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { isS3loError, openUploads, readAll } from '@s3lo/core'
import { openBackend } from '../src/index.ts'
import { withLock } from '../src/lock.ts'
import { StoreRoot } from '../src/store-root.ts'

const [, , job = '', bucket = '', id = ''] = process.argv
const backend = await openBackend({ scheme: 'local', bucket }, { env: {} })

const jobs: Record<string, () => Promise<unknown>> = { create, count, stage, lock, append }

/** Creates 200 keys and gives the numbers of those that it won. */
async function create(): Promise<number[]> {
  const won: number[] = []
  for (let round = 0; round < 200; round += 1) {
    try {
      const content = Buffer.from(String(process.pid))
      await backend.put(`race/${round}`, content, { condition: { kind: 'absent' } })
      won.push(round)
    } catch (error) {
      if (!isS3loError(error, 'CONFLICT')) throw error
    }
  }
  return won
}

/** Adds one to a number 50 times, by compare-and-swap. */
async function count(): Promise<number> {
  let done = 0
  while (done < 50) {
    const { info, body } = await backend.get('counter')
    const number = Number(Buffer.from(await readAll(body, 100, 'counter')).toString())
    const condition = { kind: 'unchanged', etag: info.etag } as const
    try {
      await backend.put('counter', Buffer.from(String(number + 1)), { condition })
      done += 1
    } catch (error) {
      if (!isS3loError(error, 'CONFLICT')) throw error
    }
  }
  return done
}

/** Appends its pid to the upload at each of 200 places, and gives the numbers of those that it won. */
async function append(): Promise<number[]> {
  const uploads = openUploads(backend)
  const piece = String(process.pid).padStart(10)
  const won: number[] = []
  for (let round = 0; round < 50; round += 1) {
    const offset = round * piece.length
    const body = Readable.from([Buffer.from(piece)])
    const { kind } = await uploads.append({ repository: 'app', id }, offset, body)
    if (kind === 'appended') won.push(round)
  }
  return won
}

/** Puts a body that never ends, and tells when some of it is written. */
async function stage(): Promise<void> {
  let asked = 0
  const body = new Readable({
    read() {
      asked += 1
      if (asked < 100) this.push(Buffer.alloc(64 * 1024))
      else process.send?.('ready')
    },
  })
  await backend.put('never', body)
}

/** Takes the lock of the key `locked` and keeps it. */
async function lock(): Promise<void> {
  await withLock(new StoreRoot(bucket), 'object locked', undefined, async () => {
    process.send?.('ready')
    await new Promise(() => {})
  })
}

// Until it is killed: a promise that never resolves keeps no process alive.
const life = setInterval(() => {}, 60_000)
process.send?.('started')
await once(process, 'message')
process.send?.((await jobs[job]?.()) ?? 'done')
process.disconnect()
clearInterval(life)
