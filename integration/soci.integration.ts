import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { digestOf, MEDIA_TYPE } from '@s3lo/core'
import { imageFixture, indexFixture, TAR_END, tarFile, tarHeader } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import { writeOciLayout } from './oci-layout.ts'
import { type Outcome, SourceCli } from './source-cli.ts'

const BIG = createHash('shake256', { outputLength: 1_000_000 }).update('big').digest()
const LAYER = layerOf(tarFile('etc/motd', 'welcome\n'), tarFile('big', BIG), tarFile('last', 'x\n'))
const BIG_LAYER = layerOf(tarFile('big', BIG))
const OTHER = layerOf(tarHeader('etc/', { type: '5' }), tarFile('etc/arm', 'arm\n'))
/** Layers of any size, in spans that are small enough for several of them. */
const SMALL = ['--min-layer-size', '0', '--span-size', '200000']

const folder = await mkdtemp(join(tmpdir(), 's3lo-soci-'))
const stores = cloudStores(folder).filter(({ name }) => ['local', 's3 (Ceph)'].includes(name))

afterAll(() => rm(folder, { recursive: true, force: true }))

describe.each(stores.map((store) => [store.name, store] as const))(
  's3lo soci at %s',
  (_, store) => {
    let cli: SourceCli
    let home: string
    let bucket: string
    let root: string
    let ref: string

    const run = (...args: readonly string[]): Promise<Outcome> => cli.run(args, store.env())
    const json = (...args: readonly string[]): Promise<unknown> => cli.json(args, store.env())
    const soci = (...args: readonly string[]): Promise<Outcome> => run('soci', ...args)
    const digests = async (...args: readonly string[]): Promise<readonly string[]> =>
      ((await json('soci', ...args, root)) as readonly { digest: string }[]).map(
        (one) => one.digest,
      )

    beforeAll(async () => {
      home = await mkdtemp(join(folder, 'cli-'))
      cli = await SourceCli.open(home)
      bucket = await store.makeBucket()
      root = referenceIn(store, bucket)
      ref = referenceIn(store, bucket, 'app:v1')
      const [amd64, arm64] = [LAYER, OTHER].map((layer) =>
        imageFixture({ layers: [layer], layerType: MEDIA_TYPE.ociLayerGzip }),
      )
      if (!amd64 || !arm64) throw new Error('there are no images')
      const image = indexFixture(
        { 'linux/amd64': amd64, 'linux/arm64': arm64 },
        { attestations: true },
      )
      await writeOciLayout(join(home, 'layout'), 'v1', image)
      await json('copy', 'oci:./layout:v1', ref)
    })
    afterAll(() => removeBucket(store, bucket))

    it('create attaches an index for each platform, shown by list, info and inspect', async () => {
      const before = (await json('inspect', ref)) as { digest: string }
      const made = await soci('create', ref, '--all-platforms', ...SMALL)
      expect([made.status, made.stdout.split('\n').length]).toEqual([0, 3])
      expect(made.stderr).toMatch(/^linux\/amd64: index sha256:[0-9a-f]{64} of 1 layers$/m)
      expect(await json('inspect', ref)).toMatchObject({ digest: before.digest })
      const listed = await json('soci', 'list', root)
      expect(listed).toHaveLength(2)
      expect(listed).toContainEqual({
        digest: made.stdout.split('\n')[0],
        size: expect.any(Number),
        image_digest: before.digest,
        manifest_digest: expect.stringMatching(/^sha256:/),
        platform: 'linux/amd64',
        version: 'v1',
        created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      })
      const [digest = ''] = made.stdout.split('\n')
      expect(await json('soci', 'info', root, digest)).toMatchObject({
        subject: { digest: expect.stringMatching(/^sha256:/) },
        layers: [{ mediaType: 'application/octet-stream' }],
      })
      const again = await json('soci', 'create', ref, '--platform', 'linux/amd64', ...SMALL)
      expect(again).toMatchObject({ reference: ref, indexes: [{ digest, reused: 1, skipped: [] }] })
    })

    it('create says which layers it leaves alone', async () => {
      const refused = await soci('create', ref, '--platform', 'linux/amd64')
      expect([refused.status, refused.stdout]).toEqual([69, ''])
      expect(refused.stderr).toMatch(/^error: .+\n(hint: .+\n)?$/)
      expect(await soci('create', ref, '--span-size', '4k')).toMatchObject({ status: 64 })
      expect(await soci('create', `${ref}-none`)).toMatchObject({ status: 66 })
    })

    it('ztoc list, info and get-file show a layer without fetching all of it', async () => {
      const infos = await Promise.all(
        (await digests('ztoc', 'list')).map(async (digest) => {
          const info = await json('soci', 'ztoc', 'info', root, digest)
          return { digest, ...(info as { num_files: number; num_spans: number }) }
        }),
      )
      const found = infos.find((info) => info.num_files === 3)
      expect(found).toMatchObject({
        version: '0.9',
        span_size: 200_000,
        num_multi_span_files: 1,
        files: [{ filename: 'etc/motd', size: 8, type: 'reg' }, {}, { filename: 'last' }],
      })
      expect(found?.num_spans).toBeGreaterThan(3)
      const get = (...args: readonly string[]): Promise<Outcome> =>
        soci('ztoc', 'get-file', root, found?.digest ?? '', ...args)
      expect(await get('last')).toEqual({ status: 0, stdout: 'x\n', stderr: '' })
      for (const option of ['-O', '-o']) {
        expect(await get('big', option, `big${option}`)).toMatchObject({ status: 0, stdout: '' })
        expect((await readFile(join(home, `big${option}`))).equals(BIG)).toBe(true)
      }
      expect(await get('none')).toMatchObject({ status: 66, stdout: '' })
      expect(await get('last', '-O', 'no/such/folder')).toMatchObject({ status: 74, stdout: '' })
      expect(await get('last', '-o', 'json')).toMatchObject({ status: 64 })
      const document = await json(
        'soci',
        'ztoc',
        'get-file',
        root,
        found?.digest ?? '',
        'big',
        '-O',
        'b',
      )
      expect(document).toMatchObject({ file: 'big', size: BIG.length })
      const [index = ''] = await digests('list')
      expect(await soci('ztoc', 'info', root, index)).toMatchObject({ status: 64 })
      expect(await soci('info', root, found?.digest ?? '')).toMatchObject({ status: 64 })
      expect(await soci('info', root, `sha256:${'0'.repeat(64)}`)).toMatchObject({ status: 66 })
    })

    it('convert publishes an image whose indexes are found, and keeps its attestations', async () => {
      expect(await soci('convert', ref, ...SMALL)).toMatchObject({ status: 64 })
      const lazy = referenceIn(store, bucket, 'app:lazy')
      const made = await soci('convert', ref, lazy, '--all-platforms', ...SMALL)
      const { digest, platforms } = (await json('inspect', lazy)) as {
        digest: string
        platforms: readonly { platform: string }[]
      }
      expect([made.status, made.stdout]).toEqual([0, `${digest}\n`])
      expect(platforms.filter(({ platform }) => platform === '(attestation)')).toHaveLength(2)
      const listed = (await json('soci', 'list', root)) as readonly { version: string }[]
      expect(listed.map(({ version }) => version).toSorted()).toEqual(['v1', 'v1', 'v2', 'v2'])
      expect(listed).toContainEqual(expect.objectContaining({ image_digest: digest }))
      const arm = await run('cat', lazy, '/etc/arm', '--platform', 'linux/arm64')
      expect([arm.status, arm.stdout]).toEqual([0, 'arm\n'])
      expect(await json('doctor', root, '--deep')).toMatchObject({ ok: true })
      const [inside] = listed.filter(({ version }) => version === 'v2') as { digest?: string }[]
      expect(await soci('remove', root, inside?.digest ?? '')).toMatchObject({ status: 73 })
      await json('config', 'set', referenceIn(store, bucket, 'app'), 'immutable=true')
      const again = ['convert', ref, lazy, '--platform', 'linux/amd64', ...SMALL]
      expect(await soci(...again)).toMatchObject({ status: 73, stdout: '' })
      expect(await soci(...again, '--force')).toMatchObject({ status: 0 })
      await json('config', 'set', referenceIn(store, bucket, 'app'), 'immutable=false')
    })

    it('rebuild finds every index again, and remove takes those of version 1 off', async () => {
      const before = (await digests('list')).toSorted()
      const backend = await store.open(bucket)
      const records = await Array.fromAsync(backend.list('.s3lo/soci/artifacts/'))
      await backend.delete(records.map(({ key }) => key))
      await backend.close?.()
      expect(await digests('list')).toEqual([])
      expect(await soci('rebuild', root)).toMatchObject({ status: 0, stdout: '' })
      const listed = (await json('soci', 'list', root)) as { version: string; digest: string }[]
      expect(before).toEqual(expect.arrayContaining(listed.map(({ digest }) => digest)))
      const nothing = { added: [], removed: [], replaced: [], dropped: [] }
      expect(await json('soci', 'rebuild', root)).toEqual(nothing)
      const attached = listed.filter(({ version }) => version === 'v1').map(({ digest }) => digest)
      expect(attached).toHaveLength(2)
      expect(await soci('remove', root, ...attached)).toEqual({
        status: 0,
        stdout: '',
        stderr: attached.map((digest) => `Removed ${digest}\n`).join(''),
      })
      expect(await soci('remove', root, attached[0] ?? '')).toMatchObject({ status: 66 })
      for (const digest of attached) expect(await digests('list')).not.toContain(digest)
    })

    it('says 65 for a layer that the store has damaged, and 69 for one that is no tar', async () => {
      const damaged = Buffer.from(BIG_LAYER)
      damaged.fill(0x55, 1000, 1100)
      const layer = { layerType: MEDIA_TYPE.ociLayerGzip }
      for (const [name, content] of Object.entries({ whole: BIG_LAYER, odd: gzipSync(BIG) })) {
        await writeOciLayout(join(home, name), 'v1', imageFixture({ layers: [content], ...layer }))
        await json('copy', `oci:./${name}:v1`, referenceIn(store, bucket, `${name}:v1`))
      }
      const backend = await store.open(bucket)
      await backend.put(`blobs/${digestOf(BIG_LAYER).replace(':', '/')}`, damaged)
      await backend.close?.()
      for (const [name, expected] of Object.entries({ whole: 65, odd: 69 })) {
        const target = referenceIn(store, bucket, `${name}:v1`)
        for (const args of [
          ['create', target],
          ['convert', target, '--in-place'],
        ]) {
          const { status, stdout, stderr } = await soci(...args, ...SMALL)
          expect([status, stdout]).toEqual([expected, ''])
          expect(stderr).toMatch(/^error: .+\n(hint: .+\n)?$/)
        }
        expect(await json('inspect', target)).toMatchObject({ is_index: false })
      }
    })
  },
)

function layerOf(...parts: readonly Buffer[]): Buffer {
  return gzipSync(Buffer.concat([...parts, TAR_END]), { memLevel: 5 })
}
