import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBackend } from '@s3lo/backend-local'
import localPlugin from '@s3lo/backend-local/plugin'
import { copy, createHost, type DoctorResult, ImageStore, type StorageBackend } from '@s3lo/core'
import { FixtureSource } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SHARED_IMAGE, SHARED_TAG } from './clock-worker.ts'
import { readWhole } from './read-whole.ts'

describe.skipIf(process.platform !== 'linux')('a push after a clean that was killed', () => {
  let directory: string
  let backend: StorageBackend
  let child: ChildProcess | undefined

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 's3lo-killed-'))
    backend = await openBackend({ scheme: 'local', bucket: directory }, { env: {} })
  })
  afterEach(async () => {
    child?.kill('SIGKILL')
    await backend.close?.()
    await rm(directory, { recursive: true, force: true })
  })

  function examine(): Promise<DoctorResult> {
    const host = createHost({ plugins: [localPlugin] })
    return host.doctor(`local://${directory}//`, { probe: false })
  }

  it('of the same content on the same machine does not wait for it', async () => {
    for (const [digest, content] of SHARED_IMAGE.content) {
      await backend.put(`blobs/${digest.replace(':', '/')}`, content)
    }
    child = fork(join(import.meta.dirname, 'clock-worker.ts'), ['killed', directory], {
      execArgv: ['--conditions=s3lo-source'],
    })
    expect(await once(child, 'message')).toEqual(['deleting', undefined])
    expect((await examine()).rounds).toMatchObject([
      { who: 'clean', pid: child.pid, state: 'open' },
    ])
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect((await examine()).rounds).toMatchObject([{ state: 'over' }])
    // Renewals wait in the background; a push that waits for a round does so in the foreground.
    const delay = (_ms: number, _signal?: AbortSignal, isBackground = false): Promise<void> =>
      isBackground ? new Promise(() => {}) : Promise.reject(new Error('it waits'))
    const source = new FixtureSource({ 'app:v1': SHARED_IMAGE })
    const target = new ImageStore(backend, { protection: { delay } })
    await copy({ source, reference: SHARED_TAG }, { target, reference: SHARED_TAG })
    await readWhole(backend, SHARED_TAG, [SHARED_IMAGE])
  })
})
