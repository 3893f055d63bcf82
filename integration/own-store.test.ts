/**
 * The store `v1.1.0-records` is frozen: it was made once, by pushes, a moved and a deleted tag, an
 * attached SBOM, and uploads as serve makes them. What reads stores has to read it for ever.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openBackend } from '@s3lo/backend-local'
import localPlugin from '@s3lo/backend-local/plugin'
import { createHost, ImageStore, openUploads } from '@s3lo/core'
import dockerPlugin from '@s3lo/source-docker/plugin'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { copyCommitted } from './committed-store.ts'

const MOVED = 'sha256:015a8d9c3d2adabf4226c47d37f21fffdcef7736f35d4c335c191f59b5b8d37f'
const PRESENT = 'sha256:3667cbfd1e48a7b30c5777672cb595d5d8aa68ea697bdb674b6e88c70e049ed6'
const DELETED = 'sha256:e8864b0a1725c7cc5769cb4abff4b2413f8048a717dae8d2515c8f7e3735810d'
const ARM64 = 'sha256:f058c48966fab3d86ca8956ce49b4cbc00ae432976acf42e28c4ffda42bf35b7'
const SBOM = 'sha256:89d5c132b65f50b475dab924602065629b5e321d57c4b3fc49c08b40a3a25c1c'
const UPLOAD = /^[0-9a-f]{32}$/

/** When it was made. */
const MADE = Date.parse('2026-11-29T12:42:00Z')
const DAY = 24 * 3_600_000

const host = createHost({ plugins: [localPlugin, dockerPlugin] })
let folder: string
let store: string

beforeEach(async () => {
  folder = await copyCommitted('v1.1.0-records', MADE)
  store = `local://${folder}//`
})
afterEach(() => rm(folder, { recursive: true, force: true }))

it('is listed, with what is kept by digest alone', async () => {
  expect(await host.list(store)).toEqual([
    { name: 'app', tags: ['v1'] },
    { name: 'team/web', tags: ['first', 'latest'] },
  ])
  const untagged = await host.listUntagged(store)
  expect(untagged.map(({ digest }) => digest).toSorted()).toEqual([MOVED, DELETED].toSorted())
})

it('gives what its tags have named by digest, and each platform of an index', async () => {
  const digests = [
    ['app', MOVED],
    ['app', DELETED],
    ['app', PRESENT],
    ['team/web', ARM64],
  ] as const
  for (const [name, digest] of digests) {
    const copied = await host.copy(`${store}${name}@${digest}`, `oci:${folder}/out:${name[0]}`)
    expect(copied).toMatchObject({ digest })
  }
})

it('remembers what became of its tags, and restores one', async () => {
  expect(await host.history(`${store}app`, { all: true })).toMatchObject({
    rows: [
      { tag: 'v1', digest: PRESENT },
      { tag: 'v1', digest: MOVED, ended: 'moved', ended_by: 'builder' },
      { tag: 'gone', digest: DELETED, ended: 'deleted', ended_by: 'builder' },
    ],
  })
  expect(await host.restore(`${store}app:gone`)).toMatchObject({ digest: DELETED })
  expect((await host.inspect(`${store}app:gone`)).digest).toBe(DELETED)
})

it('has referrers, each in its repository', async () => {
  const images = new ImageStore(await openBackend({ scheme: 'local', bucket: folder }, { env: {} }))
  const subject = { mediaType: '', digest: MOVED, size: 0 }
  const inApp = await Array.fromAsync(images.referrers('app', subject))
  expect(inApp).toMatchObject([{ digest: SBOM, artifactType: 'application/spdx+json' }])
  expect(await Array.fromAsync(images.referrers('team/web', subject))).toEqual([])
})

it('has an upload that can be continued', async () => {
  const backend = await openBackend({ scheme: 'local', bucket: folder }, { env: {} })
  const ids = await readdir(join(folder, '.s3lo/uploads'))
  const id = ids.find((name) => UPLOAD.test(name)) ?? ''
  const upload = { repository: 'team/web', id }
  expect(await openUploads(backend).status(upload)).toMatchObject({ offset: 'an upload '.length })
})

it('is whole, and loses untagged images after 14 days and not before', async () => {
  expect(await host.doctor(store, { deep: true, probe: false })).toMatchObject({
    ok: true,
    orphaned_blobs: 1,
  })
  const clean = (now: number) => host.clean(store, { now: () => now, graceMs: 0 })
  expect(await clean(MADE + 13 * DAY)).toMatchObject({ records_deleted: 0 })
  expect(await clean(MADE + 15 * DAY)).toMatchObject({ records_deleted: 3 })
})
