import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeFolder } from '../../src/files/make-folder.ts'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 's3lo-make-folder-'))
})

afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('making a folder', () => {
  it('makes those above it as well, and gives the topmost that was made', async () => {
    expect(await makeFolder(join(root, 'a/b/c'), { mode: 0o700 })).toBe(join(root, 'a'))
    expect((await stat(join(root, 'a/b/c'))).mode & 0o777).toBe(0o700)
    expect(await makeFolder(join(root, 'a/b/d'))).toBe(join(root, 'a/b/d'))
    expect(await makeFolder(join(root, 'a/b'))).toBeUndefined()
  })

  it('is done once where several make it at the same moment', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => makeFolder(join(root, 'x/y/z'))))
    expect(made.some((top) => top === join(root, 'x'))).toBe(true)
  })

  it('fails where a file is in the way', async () => {
    await writeFile(join(root, 'file'), '')
    await expect(makeFolder(join(root, 'file'))).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(makeFolder(join(root, 'file/x'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  })

  it.runIf(process.platform === 'linux')('ends where nothing can be made', async () => {
    await expect(makeFolder('/proc/s3lo/blobs')).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
