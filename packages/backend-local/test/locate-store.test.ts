import { createHost, type Host } from '@s3lo/core'
import { imageFixture, FixtureSource } from '@s3lo/core/testing'
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import local from '../src/plugin.ts'

const app = imageFixture({ layers: ['app'] })
const home = process.cwd()

let root: string
let host: Host
let notices: string[]

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 's3lo-locate-')))
  process.chdir(root)
  notices = []
  const source = new FixtureSource({ 'app:v1': app })
  const fix = {
    summary: 'fixtures',
    load: () =>
      Promise.resolve({
        openSource: () => Promise.resolve({ source, reference: { name: 'app', tag: 'v1' } }),
      }),
  }
  host = createHost({ plugins: [local, { name: 'fix', apiVersion: 1, sources: { fix } }], env: {} })
})

afterEach(async () => {
  process.chdir(home)
  await rm(root, { recursive: true })
})

const push = (to: string): Promise<{ readonly ref: string }> =>
  host.push('fix:app:v1', to, {
    onProgress: (event) => event.type === 'notice' && notices.push(event.message),
  })

describe('the store of a path', () => {
  it('is the deepest folder on it that is one, absolute or relative', async () => {
    await host.init(`local://${root}/a/b//`)
    await host.init(`local://${root}/a/b/c/d//`)
    const of = (path: string): Promise<string> => host.locate(`local://${path}`)
    expect(await of(`${root}/a/b/app:v1`)).toBe(`local://${root}/a/b//app:v1`)
    expect(await of(`${root}/a/b/team/app:v1`)).toBe(`local://${root}/a/b//team/app:v1`)
    expect(await of(`${root}/a/b/c/d/app@sha256:x`)).toBe(`local://${root}/a/b/c/d//app@sha256:x`)
    expect(await of('./a/b/c/app:v1')).toBe('local://./a/b//c/app:v1')
    expect(await of('a/b/app:v1')).toBe('local://a/b//app:v1')
    expect(await host.locate('local://./a/b/c/d', { names: 'store' })).toBe('local://./a/b/c/d//')
    expect(await host.locate('local://./a/b/', { names: 'store' })).toBe('local://./a/b//')
  })

  it('is that of push, list, inspect, copy, config and delete alike', async () => {
    await host.init(`local://${root}/images//`)
    await host.setConfig(`local://${root}/images//`, ['chunked=false'])
    const ref = `local://${root}/images/team/app`
    expect(await push(`${ref}:v1`)).toMatchObject({ ref: `local://${root}/images//team/app:v1` })
    expect(notices).toEqual([])
    expect(await host.list(`local://${root}/images`)).toEqual([{ name: 'team/app', tags: ['v1'] }])
    expect(await host.inspect(`${ref}:v1`)).toMatchObject({ digest: app.root.descriptor.digest })
    await host.copy(`${ref}:v1`, `${ref}:v2`)
    await host.setConfig(ref, ['lifecycle.keep_last=5'])
    expect(await host.getConfig(ref)).toMatchObject({ settings: { pattern: 'team/app' } })
    expect((await host.history(ref)).rows).toHaveLength(2)
    await host.delete(`${ref}:v2`)
    expect(await host.doctor(`local://${root}/images`)).toMatchObject({ ok: true })
    expect((await readdir(root)).toSorted()).toEqual(['images'])
  })

  it('is the first folder of a relative path where none is one, and that is said', async () => {
    expect(await push('local://./store/team/app:v1')).toMatchObject({
      ref: 'local://./store/team/app:v1',
    })
    expect(notices).toEqual([`a new store is made in ${join(root, 'store')}`])
    await push('local://./store/team/app:v2')
    expect(notices).toHaveLength(1)
    expect(await host.list('local://./store/')).toEqual([{ name: 'team/app', tags: ['v1', 'v2'] }])
  })

  it('is not guessed of an absolute path: both readings are shown, and nothing is written', async () => {
    const to = `local://${root}/new/app:v1`
    await expect(push(to)).rejects.toMatchObject({
      code: 'INVALID_REFERENCE',
      hint: expect.stringMatching(/\/\/app:v1 .*s3lo init --local/s),
    })
    await expect(host.list(`local://${root}/new`)).rejects.toMatchObject({
      code: 'INVALID_REFERENCE',
    })
    expect(await readdir(root)).toEqual([])
    await push(`local://${root}/new//app:v1`)
    expect(notices).toEqual([`a new store is made in ${join(root, 'new')}`])
    expect(await host.list(`local://${root}/new`)).toEqual([{ name: 'app', tags: ['v1'] }])
  })

  it('is no folder of a store, however an image is named', async () => {
    await push('local://./store/manifests:v1')
    await push('local://./store/manifests/manifests:v1')
    expect(await host.locate('local://./store/manifests/manifests:v1')).toBe(
      'local://./store/manifests/manifests:v1',
    )
    expect(await host.list('local://./store/')).toHaveLength(2)
  })

  it('is no OCI layout', async () => {
    await mkdir(join(root, 'a/layout/blobs/sha256'), { recursive: true })
    await writeFile(join(root, 'a/layout/oci-layout'), '{}')
    expect(await host.locate('local://./a/layout/app:v1')).toBe('local://./a/layout/app:v1')
  })

  it.each(['local://~/store/app:v1', 'local://~me/store'])(
    'is not %s, which is not expanded',
    async (text) => {
      await expect(host.list(text)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
      await expect(push(text)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
      expect(await readdir(root)).toEqual([])
    },
  )

  it('may be one folder below the root, as the Go program has it', async () => {
    const missing = `local:///s3lo-no-such-folder/app:v1`
    expect(await host.locate(missing)).toBe(missing)
    await expect(host.inspect(missing)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
