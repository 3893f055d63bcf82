import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { diagnoseFolder } from '../src/diagnose.ts'
import { LocalBackend } from '../src/index.ts'

const GIB = 1024 ** 3

describe('diagnose', () => {
  it('says how much is free, and when that is little', async () => {
    const read = (bavail: number) => () => Promise.resolve({ type: 0xef53, bsize: 4096, bavail })
    expect(await Array.fromAsync(diagnoseFolder('/x', read((5 * GIB) / 4096)))).toEqual([
      { severity: 'ok', message: '5.0 GiB are free on the disk' },
    ])
    const [finding] = await Array.fromAsync(diagnoseFolder('/x', read(GIB / 4096 - 1)))
    expect(finding).toMatchObject({ severity: 'notice', hint: expect.stringContaining('clean') })
  })

  it.runIf(process.platform === 'linux')('names a file system of another machine', async () => {
    // As the kernel's signed number comes out.
    const read = () => Promise.resolve({ type: 0xff534d42 | 0, bsize: GIB, bavail: 9 })
    const found = await Array.fromAsync(diagnoseFolder('/x', read))
    expect(found[1]?.message).toContain('the directory is on CIFS')
  })

  it('works on a real directory, and throws where there is none', async () => {
    const found = await Array.fromAsync(new LocalBackend(tmpdir()).diagnose())
    expect(found[0]?.message).toContain('are free on the disk')
    await expect(new LocalBackend(`${tmpdir()}/not-there`).diagnose().next()).rejects.toMatchObject(
      {
        code: 'NOT_FOUND',
      },
    )
  })
})
