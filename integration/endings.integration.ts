/**
 * Each process of the command line ends once its work is done, even if its threads still compile or
 * collect. The bundle runs here: what a process does in the background depends on how it was loaded.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forEachConcurrent } from '@s3lo/core'
import { imageFixture } from '@s3lo/core/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeOciLayout } from './oci-layout.ts'
import { requiredRegistries } from './required.ts'

const MAIN = join(import.meta.dirname, '../apps/cli/dist/main.cjs')
const MIB = 1024 * 1024
const COPIES = 80
/** A copy takes one second; a process that waits for itself takes for ever. */
const PATIENCE_MS = 60_000

const registries = requiredRegistries()
if (registries === undefined) it.skip('registries are not there', () => {})
else {
  const { tls, ca, user, password } = registries
  const image = `${tls}/endings/app:v1`
  let work: string

  beforeAll(async () => {
    if (!existsSync(MAIN)) throw new Error(`${MAIN} is not there: run pnpm build first`)
    work = await mkdtemp(join(tmpdir(), 's3lo-endings-'))
    const auth = Buffer.from(`${user}:${password}`).toString('base64')
    await writeFile(join(work, 'config.json'), JSON.stringify({ auths: { [tls]: { auth } } }))
    const layers = Array.from({ length: 5 }, () => randomBytes(13 * MIB))
    await writeOciLayout(join(work, 'image'), 'v1', imageFixture({ layers }))
    expect(await copy(`oci:${join(work, 'image')}`, image)).toBe(0)
  })
  afterAll(() => rm(work, { recursive: true, force: true }))

  /** Its status; `null` for a process that had to be killed. */
  async function copy(from: string, to: string): Promise<number | null> {
    const child = spawn(process.execPath, [MAIN, 'copy', from, to, '--tls-ca', ca], {
      env: { PATH: process.env['PATH'] ?? '', HOME: work, DOCKER_CONFIG: work },
      stdio: 'ignore',
      timeout: PATIENCE_MS,
      killSignal: 'SIGKILL',
    })
    const [status] = (await once(child, 'close')) as [number | null]
    return status
  }

  it(`ends after each of ${COPIES} copies from a registry over TLS`, async () => {
    const statuses: (number | null)[] = []
    await forEachConcurrent(Array.from({ length: COPIES }).keys(), 3, async (i) => {
      const target = join(work, `copy-${i}`)
      statuses.push(await copy(image, `oci:${target}`))
      await rm(target, { recursive: true })
    })
    expect(statuses).toEqual(statuses.map(() => 0))
  })
}
