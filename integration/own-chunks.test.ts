/**
 * The store `v1.1.0-own-chunks` is frozen: it was made once, by two pushes with `chunked: true` of images
 * that differ in one small file behind 18 MiB of zeros. What reads stores has to read it for ever, also
 * once another zstd makes other frames.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import localPlugin from '@s3lo/backend-local/plugin'
import { createHost, digestOf, ImageStore } from '@s3lo/core'
import { openBackend } from '@s3lo/backend-local'
import dockerPlugin from '@s3lo/source-docker/plugin'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyCommitted } from './committed-store.ts'

const SMALL = 'sha256:7a56e46d02abea3b0b1a8c096b505570a5f17ba12a4d478ee8f1011a74c7ba84'
const IMAGES = [
  {
    tag: 'v1',
    digest: 'sha256:57bab94e8d1c1b7586496b4bd8ac8846e3e934ed4bd3c3f172b7a2ff3509cbbe',
    config: 'sha256:d39fca4fdd2827221cce93d6892f8d8fa1f6b22af2e5431468afecb7f29a7f37',
    diffIds: ['sha256:f065bc9d6abd31fe582063ed85d7add9668978d95f7a88aafd278e0fb5012fbe', SMALL],
    version: '1\n',
  },
  {
    tag: 'v2',
    digest: 'sha256:bf4d71ba1472ae3852b461b9607b068fe2739c4837daaf7c20521b1f92dcc54a',
    config: 'sha256:408b541a5d7e549ca2e1960a08993ff0cb92c7c7e828479ba74e12d1b8063c1a',
    diffIds: ['sha256:62b5415e4e1216750f160dd5f5e3f27a6e7129066d7ab5820fd24a49d1cecd08', SMALL],
    version: '2\n',
  },
]
const MADE = Date.parse('2026-11-29T20:28:00Z')

const host = createHost({ plugins: [localPlugin, dockerPlugin] })
let folder: string
let store: string

beforeEach(async () => {
  folder = await copyCommitted('v1.1.0-own-chunks', MADE)
  store = `local://${folder}//`
})
afterEach(() => rm(folder, { recursive: true, force: true }))

it('is listed, counted, and whole', async () => {
  expect(await host.list(store)).toEqual([{ name: 'app', tags: ['v1', 'v2'] }])
  expect(await host.stats(store)).toMatchObject({
    tags: 2,
    chunks: 3,
    chunked: { layers: 2, content_bytes: 37_755_904 },
  })
  const report = await host.doctor(store, { deep: true, probe: false })
  expect(report).toMatchObject({ ok: true, orphaned_blobs: 0 })
  expect(report).not.toHaveProperty('orphaned_chunks')
  expect(report.findings.filter(({ severity }) => severity !== 'ok')).toEqual([])
})

it('has nothing that a clean would delete', async () => {
  const cleaned = await host.clean(store, { now: () => MADE + 1000, graceMs: 0 })
  expect(cleaned).toMatchObject({ deleted: 0, tags_deleted: 0 })
})

it('sends nothing again of an image that it has', async () => {
  const layout = `oci:${folder}/out:v1`
  await host.pull(`${store}app:v1`, layout)
  const backend = await openBackend({ scheme: 'local', bucket: folder }, { env: {} })
  const { descriptor } = await new ImageStore(backend).read({ name: 'app', tag: 'v1' })
  const again = await host.push(layout, `${store}app:v3`, { dryRun: true })
  expect(again).toMatchObject({ digest: descriptor.digest, bytes_uploaded: 0 })
})

it('makes no folder for a dry run into a store that is not there', async () => {
  const layout = `oci:${folder}/out:v1`
  await host.pull(`${store}app:v1`, layout)
  const planned = await host.push(layout, `local://${folder}/new//app:v1`, { dryRun: true })
  expect(planned).toMatchObject({ digest: IMAGES[0]?.digest, blobs_uploaded: 3, blobs_skipped: 0 })
  expect(await readdir(folder)).not.toContain('new')
})

describe.each(IMAGES)('app:$tag', ({ tag, digest, config, diffIds, version }) => {
  it('is pulled byte for byte, into a layout and as what an engine loads', async () => {
    const pulled = await host.pull(`${store}app:${tag}`, `oci:${folder}/layout:${tag}`)
    expect(pulled.digest).toBe(digest)
    const blob = (of: string): Promise<Buffer> =>
      readFile(join(folder, 'layout/blobs/sha256', of.slice('sha256:'.length)))
    const manifest = JSON.parse((await blob(digest)).toString()) as {
      config: { digest: string }
      layers: { digest: string }[]
    }
    expect(manifest.config.digest).toBe(config)
    for (const layer of manifest.layers)
      expect(digestOf(await blob(layer.digest))).toBe(layer.digest)
    await host.pull(`${store}app:${tag}`, `docker-archive:${folder}/app.tar:app:${tag}`)
    const archive = (await readFile(join(folder, 'app.tar'))).toString('latin1')
    for (const name of [config, ...diffIds]) {
      expect(archive.includes(name.slice('sha256:'.length))).toBe(true)
    }
  })

  it('is looked into', async () => {
    const files = await host.files(`${store}app:${tag}`, '/usr/share')
    expect(files.map(({ path, size }) => [path, size])).toEqual([
      ['/usr/share/version', 2],
      ['/usr/share/zeros', 18_874_368],
    ])
    const parts: Uint8Array[] = []
    await host.cat(`${store}app:${tag}`, '/usr/share/version', async (content) => {
      for await (const part of content) parts.push(part)
    })
    expect(Buffer.concat(parts).toString()).toBe(version)
  })
})
