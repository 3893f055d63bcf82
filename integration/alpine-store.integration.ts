import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHost, type Host } from '@s3lo/core'
import dockerPlugin from '@s3lo/source-docker/plugin'
import localPlugin from '@s3lo/backend-local/plugin'
import { requiredData } from './required.ts'

const data = requiredData('alpine-store')
const ROOT_DIGEST = 'sha256:25109184c71bdad752c8312a8623239686a9a2071e8825f20acb8f2198c3f659'
const MISSING_LAYER = 'sha256:d8ad8cd7'
const WHOLE = ['amd64', 'arm/v6', 'arm/v7', '386', 'ppc64le', 'riscv64', 's390x'].map(
  (arch) => `linux/${arch}`,
)

describe.skipIf(data === undefined)('a real store that the Go program wrote', () => {
  const source = `local://${data}//alpine:latest`
  let host: Host
  let work: string

  beforeAll(async () => {
    host = createHost({ plugins: [localPlugin, dockerPlugin] })
    work = await mkdtemp(join(tmpdir(), 's3lo-alpine-'))
  })
  afterAll(() => rm(work, { recursive: true, force: true }))

  it('is listed', async () => {
    expect(await host.list(`local://${data}//`)).toEqual([{ name: 'alpine', tags: ['latest'] }])
  })

  it('is inspected with its 16 entries in order', async () => {
    const { digest, is_index: isIndex, platforms = [] } = await host.inspect(source)
    expect({ digest, isIndex }).toEqual({ digest: ROOT_DIGEST, isIndex: true })
    const names = platforms.map(({ platform }) => platform)
    expect(names).toEqual(
      ['amd64', 'arm/v6', 'arm/v7', 'arm64/v8', '386', 'ppc64le', 'riscv64', 's390x'].flatMap(
        (arch) => [`linux/${arch}`, '(attestation)'],
      ),
    )
    for (const [i, { attestation_for: subject }] of platforms.entries()) {
      expect(subject).toBe(i % 2 === 1 ? platforms[i - 1]?.digest : undefined)
    }
  })

  it('shows the one entry of its history', async () => {
    const { rows } = await host.history(`local://${data}//alpine`)
    expect(rows).toEqual([
      { tag: 'latest', pushed_at: '2026-04-13T13:22:09Z', digest: ROOT_DIGEST, size_bytes: 0 },
    ])
  })

  it.each(WHOLE)('copies %s into a fresh store, every digest equal', async (platform) => {
    const store = join(work, platform.replaceAll('/', '-'))
    await host.copy(source, `local://${store}//alpine:one`, { platforms: [platform] })
    const { platforms } = await host.inspect(source)
    const entry = platforms?.find((candidate) => candidate.platform === platform)
    const copied = await host.inspect(`local://${store}//alpine:one`)
    expect(copied.digest).toBe(entry?.digest)
    const blobs = join(store, 'blobs/sha256')
    for (const name of await readdir(blobs)) expect(await sha256(join(blobs, name))).toBe(name)
    const manifest = await readFile(join(store, 'manifests/alpine/one/manifest.json'))
    expect(`sha256:${createHash('sha256').update(manifest).digest('hex')}`).toBe(entry?.digest)
  })

  it('copies several platforms with their attestations', async () => {
    const store = join(work, 'several')
    const platforms = ['linux/amd64', 'linux/s390x']
    await host.copy(source, `local://${store}//alpine:two`, { platforms })
    const copied = await host.inspect(`local://${store}//alpine:two`)
    expect(copied.platforms?.map(({ platform }) => platform)).toEqual([
      'linux/amd64',
      '(attestation)',
      'linux/s390x',
      '(attestation)',
    ])
  })

  it('stops at the one missing layer, names it and its platform, and leaves no tag', async () => {
    const store = join(work, 'all')
    const copy = host.copy(source, `local://${store}//alpine:all`)
    await expect(copy).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(`linux/arm64/v8.*${MISSING_LAYER}`),
    })
    expect(await host.list(`local://${store}//`)).toEqual([])
  })

  it('is found broken in just that layer, also when all content is hashed again', async () => {
    const copy = join(work, 'copy')
    await cp(data ?? '', copy, { recursive: true })
    for (const deep of [false, true]) {
      const {
        ok,
        manifest_issues: issues,
        ...rest
      } = await host.doctor(`local://${copy}//`, {
        deep,
      })
      expect(ok).toBe(false)
      expect(issues).toMatchObject([
        {
          image: 'alpine:latest',
          hint: expect.stringContaining(`s3lo delete local://${copy}//alpine:latest`),
          blobs: [
            {
              digest: expect.stringContaining(MISSING_LAYER),
              role: 'layer',
              problem: 'missing',
              platform: 'linux/arm64/v8',
            },
          ],
        },
      ])
      const guarantees = { create_only: 'enforced', deadlines: 'enforced' }
      expect(rest).toMatchObject({
        layout_ok: true,
        config_ok: true,
        orphaned_blobs: 0,
        guarantees,
      })
      expect(rest.verified_blobs).toBe(deep ? 38 : undefined)
    }
  })

  it('is counted as the Go program counts it', async () => {
    const stats = await host.stats(`local://${data}//`)
    expect(stats).toMatchObject({
      images: 1,
      tags: 1,
      unique_blobs: 54,
      blob_bytes: 26_161_514,
      logical_bytes: 30_343_991,
      dedup_savings: 4_182_477,
      unreadable_tags: 0,
    })
    const { layers, stored_bytes: stored } = await host.layerSharing(`local://${data}//`)
    expect(layers).toHaveLength(8)
    expect(layers[0]).toMatchObject({ size: 4_197_091, tags: ['alpine:latest'] })
    expect(stored).toBe(layers.reduce((sum, { size }) => sum + size, 0))
  })

  it('has settings that are explained', async () => {
    expect((await host.getConfig(`local://${data}//alpine`)).settings).toMatchObject({
      lifecycle: { keep_last: 10, max_age: '90d' },
      sources: { 'lifecycle.keep_last': 'default', 'lifecycle.max_age': 'default' },
    })
  })

  it('goes through an OCI layout and an archive and back, bit for bit', async () => {
    const one = `local://${join(work, 'linux-amd64')}//alpine:one`
    const { digest } = await host.inspect(one)
    await host.pull(one, `oci:${join(work, 'layout')}:one`, { platform: 'linux/amd64' })
    await host.pull(one, `oci-archive:${join(work, 'a.tar')}:one`, { platform: 'linux/amd64' })
    for (const from of [`oci:${join(work, 'layout')}:one`, `oci-archive:${join(work, 'a.tar')}`]) {
      const back = await host.push(from, `local://${join(work, 'back')}//alpine:one`)
      expect(back.digest).toBe(digest)
    }
  })
})

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
