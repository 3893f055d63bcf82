import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeBigArchive } from './big-archive.ts'
import { isRequired } from '@s3lo/core/testing'

const MAIN = join(import.meta.dirname, '../apps/cli/src/main.ts')
const MIB = 1024 * 1024

let work: string
let archive: string

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 's3lo-cli-'))
  archive = join(work, 'big.tar')
  await writeBigArchive(archive, { layerCount: 4, layerBytes: 64 * MIB, name: 'big:v1' })
})
afterAll(() => rm(work, { recursive: true, force: true }))

function s3lo(...args: string[]): ChildProcess {
  return spawn(process.execPath, ['--conditions=s3lo-source', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function outcome(child: ChildProcess): Promise<{ code: number | null; stderr: string }> {
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdout?.resume()
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stderr }
}

/** Every file below a folder that is not a directory; read again where one has gone meanwhile. */
async function files(folder: string): Promise<readonly string[]> {
  if (!existsSync(folder)) return []
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return files(folder)
    throw error
  }
}

/** Smaller than a piece of a layer, and larger than what a push writes before one (bytes). */
const SETTINGS_BYTES = 64 * 1024

function isOfLayer(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > SETTINGS_BYTES
}

/** Waits until the push is writing a layer, without a clock: the folder is looked at in every turn. */
async function untilWriting(store: string, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    if ((await files(join(store, '.s3lo/tmp'))).some(isOfLayer)) return
    await new Promise(setImmediate)
  }
}

describe('a push that is interrupted', () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)(
    'by %s ends with %i, and leaves neither tag nor temporary file',
    async (signal, status) => {
      const store = join(work, signal)
      const child = s3lo('push', `docker-archive:${archive}`, `local://${store}//big:v1`)
      const ended = outcome(child)
      await untilWriting(store, child)
      child.kill(signal)
      const { code, stderr } = await ended
      expect({ code, stderr }).toMatchObject({ code: status })
      expect(await files(join(store, '.s3lo/tmp'))).toEqual([])
      expect(await files(join(store, 'manifests'))).toEqual([])
    },
  )

  it('continues where it was', async () => {
    const store = join(work, 'SIGTERM')
    const child = s3lo('push', `docker-archive:${archive}`, `local://${store}//big:v1`)
    expect(await outcome(child)).toMatchObject({ code: 0 })
  })
})

describe('a full disk', () => {
  const mount = join(tmpdir(), `s3lo-full-${process.pid}`)
  const mounted = canMount(mount)
  afterAll(() => {
    if (mounted) spawnSync('umount', [mount])
  })

  it.skipIf(!mounted)(
    'ends a push with 74 and a hint, and leaves nothing half-written',
    async () => {
      const store = join(mount, 'store')
      await mkdir(store)
      const child = s3lo('push', `docker-archive:${archive}`, `local://${store}//big:v1`)
      const { code, stderr } = await outcome(child)
      expect({ code, stderr }).toMatchObject({ code: 74, stderr: expect.stringContaining('hint:') })
      expect(await files(join(store, '.s3lo/tmp'))).toEqual([])
      expect(await files(join(store, 'manifests'))).toEqual([])
      expect(stderr).not.toContain('    at ')
    },
  )
})

/** Mounts a small file system; a machine that does not let us is told. */
function canMount(folder: string): boolean {
  spawnSync('mkdir', ['-p', folder])
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=100m', 'tmpfs', folder])
  if (status === 0) return true
  if (isRequired('engines')) throw new Error('cannot mount tmpfs')
  process.stderr.write('skipped: the full disk needs root to mount a small file system\n')
  return false
}
