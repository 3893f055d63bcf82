import fs, { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LocalBackend } from '../src/local-backend.ts'

const { lstatSync } = fs

/** Has the backend call what `vi.spyOn(fs, …)` put in place of a function of `node:fs`. */
function spied<T>(spy: T): T {
  syncBuiltinESMExports()
  return spy
}

/** What Node throws where it has to look at an entry for its kind, and the entry is gone. */
function vanished(): never {
  throw Object.assign(new Error('ENOENT: no such file or directory, lstat'), {
    errno: -2,
    code: 'ENOENT',
  })
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 's3lo-vanish-'))
  mkdirSync(join(folder, 'manifests'))
  for (const name of ['a', 'b']) writeFileSync(join(folder, 'manifests', name), '')
})
afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
  rmSync(folder, { recursive: true })
})

const keysBelow = (prefix: string): Promise<string[]> =>
  Array.fromAsync(new LocalBackend(folder).listKeys(prefix))

describe('a directory of which an entry is deleted while it is read', () => {
  it('is read again, and not taken for a missing one', async () => {
    spied(vi.spyOn(fs, 'readdirSync'))
      .mockImplementationOnce(vanished)
      .mockImplementationOnce(vanished)
    expect(await keysBelow('manifests/')).toEqual(['manifests/a', 'manifests/b'])
  })

  it('is an error when that never ends', async () => {
    spied(vi.spyOn(fs, 'readdirSync')).mockImplementation(vanished)
    await expect(keysBelow('manifests/')).rejects.toMatchObject({ code: 'IO' })
  })

  it('has no entries once it is deleted itself', async () => {
    spied(vi.spyOn(fs, 'readdirSync')).mockImplementation(() => {
      rmSync(join(folder, 'manifests'), { recursive: true })
      return vanished()
    })
    expect(await keysBelow('manifests/')).toEqual([])
  })
})

describe('a directory that tells no size', () => {
  it('is not read in one call, for it may have millions of entries', async () => {
    spied(vi.spyOn(fs, 'lstatSync')).mockImplementation((path) =>
      Object.assign(lstatSync(path), { size: 0 }),
    )
    const readdir = spied(vi.spyOn(fs, 'readdirSync'))
    expect(await keysBelow('')).toEqual(['manifests/a', 'manifests/b'])
    expect(readdir).not.toHaveBeenCalled()
  })
})
