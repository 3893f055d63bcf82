import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findTrivy } from '../src/index.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-find-trivy-'))
  await mkdir(join(folder, 'bin'))
  await writeFile(join(folder, 'bin', 'trivy'), '', { mode: 0o755 })
  await mkdir(join(folder, 'other', 'trivy'), { recursive: true })
})
afterEach(() => rm(folder, { recursive: true }))

describe('the program that is run', () => {
  it.each([
    ['--trivy-path', (file: string) => ({ settings: { trivyPath: file }, env: {} })],
    ['S3LO_TRIVY', (file: string) => ({ settings: {}, env: { S3LO_TRIVY: file } })],
  ])('is the very file that was looked at for a relative %s', async (_, named) => {
    const file = join(folder, 'bin', 'trivy')
    const { settings, env } = named(relative('.', file))
    expect(await findTrivy(settings, env)).toBe(file)
  })

  it('is no folder', async () => {
    const other = join(folder, 'other')
    const named = findTrivy({ trivyPath: join(other, 'trivy') }, {})
    await expect(named).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const env = { PATH: [other, join(folder, 'bin')].join(delimiter), HOME: folder }
    expect(await findTrivy({}, env)).toBe(join(folder, 'bin', 'trivy'))
  })
})
