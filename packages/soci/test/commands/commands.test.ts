import { digestOf, type Host, MEDIA_TYPE } from '@s3lo/core'
import { type MemoryBackend, referrerFixture } from '@s3lo/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { LAYER, type Ran, REF, SociWorld } from './soci-world.ts'

let world: SociWorld
let backend: MemoryBackend
let host: Host

beforeEach(async () => {
  world = await SociWorld.open()
  backend = world.backend
  host = world.host
})

const run = (...argv: readonly string[]): Promise<Ran> => world.run(...argv)
const resultOf = (...argv: readonly string[]): Promise<unknown> => world.resultOf(...argv)
const onlyDigest = (...argv: readonly string[]): Promise<string> => world.onlyDigest(...argv)

async function cat(path: string, index = false): Promise<{ text: string; fetched: number }> {
  const { text, fetched } = await world.cat(path, { index })
  return { text, fetched }
}

describe('soci create', () => {
  it('attaches an index to the image, which stays as it is', async () => {
    const before = await host.inspect(REF)
    const result = await resultOf('soci', 'create', REF, '--min-layer-size', '0')
    expect(result).toMatchObject({
      reference: REF,
      indexes: [{ ztocs: 1, reused: 0, skipped: [] }],
    })
    const after = await host.inspect(REF)
    expect(after.digest).toBe(before.digest)
    expect(after.attachments).toMatchObject([
      { artifact_type: 'application/vnd.amazon.soci.index.v1+json' },
    ])
    expect(await resultOf('soci', 'list', 'mem://b/')).toMatchObject([{ version: 'v1' }])
  })

  it('reports a plan, then each layer with the bytes that were read, and as skipped the next time', async () => {
    for (const phase of ['done', 'skip']) {
      world.progress.length = 0
      await run('soci', 'create', REF, '--min-layer-size', '0')
      const { progress } = world
      expect(progress[0]).toEqual({ type: 'plan', blobs: 1, bytes: LAYER.byteLength })
      expect(progress.filter(({ type }) => type === 'plan')).toHaveLength(1)
      expect(progress.at(-1)).toMatchObject({ type: 'blob', phase, platform: 'linux/amd64' })
      const moved = progress.reduce((sum, e) => sum + (e.type === 'bytes' ? e.delta : 0), 0)
      expect(moved).toBe(phase === 'done' ? LAYER.byteLength : 0)
    }
  })

  it('uses what it built before', async () => {
    await run('soci', 'create', REF, '--min-layer-size', '0')
    expect(await resultOf('soci', 'create', REF, '--min-layer-size', '0')).toMatchObject({
      indexes: [{ reused: 1 }],
    })
  })

  it('names the build tool, and the optimization for layers without extended attributes', async () => {
    const options = ['--min-layer-size', '0', '--build-tool', 'mine', '--optimizations', 'xattr']
    await run('soci', 'create', REF, ...options)
    const digest = await onlyDigest('soci', 'list', 'mem://b/')
    expect(await resultOf('soci', 'info', 'mem://b/', digest)).toMatchObject({
      annotations: { 'com.amazon.soci.build-tool-identifier': 'mine' },
      layers: [{ annotations: { 'com.amazon.soci.disable-xattrs': 'true' } }],
    })
    const ztoc = await onlyDigest('soci', 'ztoc', 'list', 'mem://b/')
    expect(await resultOf('soci', 'ztoc', 'info', 'mem://b/', ztoc)).toMatchObject({
      build_tool: 'mine',
    })
  })

  it('says so when no layer can be indexed', async () => {
    await expect(run('soci', 'create', REF)).rejects.toThrow(/./)
    await expect(run('soci', 'create', REF, '--span-size', 'x')).rejects.toMatchObject({
      code: 'USAGE',
    })
  })
})

describe('soci convert', () => {
  it('publishes an image that names its index', async () => {
    const result = await resultOf(
      'soci',
      'convert',
      REF,
      'mem://b/app:lazy',
      '--min-layer-size',
      '0',
    )
    const { digest, is_index, platforms, artifacts } = await host.inspect('mem://b/app:lazy')
    expect(platforms).toHaveLength(1)
    expect(artifacts).toMatchObject([
      { artifact_type: 'application/vnd.amazon.soci.index.v2+json', platform: 'linux/amd64' },
    ])
    expect(is_index).toBe(true)
    expect(result).toMatchObject({ digest, reference: 'mem://b/app:lazy', not_indexed: [] })
    expect((await host.inspect(REF)).is_index).toBe(false)
    expect(await resultOf('soci', 'list', 'mem://b/')).toMatchObject([
      { version: 'v2', image_digest: digest },
    ])
  })

  it('replaces the tag only when it is told to', async () => {
    await expect(run('soci', 'convert', REF)).rejects.toMatchObject({ code: 'USAGE' })
    await run('soci', 'convert', REF, '--in-place', '--min-layer-size', '0')
    expect((await host.inspect(REF)).is_index).toBe(true)
    const digest = await onlyDigest('soci', 'list', 'mem://b/')
    await expect(run('soci', 'remove', 'mem://b/', digest)).rejects.toMatchObject({
      code: 'CONFLICT',
    })
  })

  it('keeps to immutable tags', async () => {
    await backend.put('s3lo.yaml', Buffer.from('default: {immutable: true}'))
    const argv = ['soci', 'convert', REF, '--in-place', '--min-layer-size', '0']
    await expect(run(...argv)).rejects.toMatchObject({ code: 'CONFLICT' })
    await run(...argv, '--force')
  })
})

describe('a digest that is none', () => {
  it.each([
    ['soci', 'remove', 'mem://b/', 'sha256:abc'],
    ['soci', 'info', 'mem://b/', 'sha256:ABC'],
    ['soci', 'ztoc', 'info', 'mem://b/', '../x'],
    ['soci', 'ztoc', 'get-file', 'mem://b/', 'none', 'etc/motd'],
  ])('is refused by %s %s %s %s', async (...argv) => {
    await expect(run(...argv)).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('keeps soci remove from removing the others', async () => {
    await run('soci', 'create', REF, '--min-layer-size', '0')
    const digest = await onlyDigest('soci', 'list', 'mem://b/')
    await expect(run('soci', 'remove', 'mem://b/', digest, 'x')).rejects.toMatchObject({
      code: 'USAGE',
    })
    expect(await onlyDigest('soci', 'list', 'mem://b/')).toBe(digest)
  })
})

describe('soci info, remove and rebuild', () => {
  it('show, take off and find an index', async () => {
    await run('soci', 'create', REF, '--min-layer-size', '0')
    const digest = await onlyDigest('soci', 'list', 'mem://b/')
    expect(await resultOf('soci', 'info', 'mem://b/', digest)).toMatchObject({
      config: { mediaType: 'application/vnd.amazon.soci.index.v1+json' },
    })
    const short = digest.slice(0, 'sha256:'.length + 6)
    expect(await resultOf('soci', 'info', 'mem://b/', short)).toEqual(
      await resultOf('soci', 'info', 'mem://b/', digest),
    )
    await expect(run('soci', 'remove', 'mem://b/', short)).rejects.toMatchObject({ code: 'USAGE' })
    const other = `${short}${'0'.repeat(64 - 6)}`.replace(':', '-')
    const key = `.s3lo/soci/artifacts/${other}.json`
    await backend.put(key, Buffer.from('{}'))
    await expect(run('soci', 'info', 'mem://b/', short)).rejects.toMatchObject({
      code: 'INVALID_REFERENCE',
      hint: expect.stringContaining(digest) as string,
    })
    await backend.delete([key])
    for await (const { key } of backend.list('.s3lo/soci/artifacts/')) await backend.delete([key])
    await expect(run('soci', 'info', 'mem://b/', digest)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    world.progress.length = 0
    expect(await resultOf('soci', 'rebuild', 'mem://b/')).toMatchObject({ removed: [] })
    expect(world.progress).toMatchObject([
      { type: 'plan', blobs: 1, bytes: 0 },
      { type: 'blob', phase: 'done' },
    ])
    expect(await onlyDigest('soci', 'list', 'mem://b/')).toBe(digest)
    expect(await resultOf('soci', 'rebuild', 'mem://b/')).toEqual({
      removed: [],
      added: [],
      replaced: [],
      dropped: [],
    })
    await run('soci', 'remove', 'mem://b/', digest)
    expect(await resultOf('soci', 'list', 'mem://b/')).toEqual([])
    expect((await host.inspect(REF)).attachments ?? []).toEqual([])
  })
})

describe('a record that anybody has written', () => {
  it('cannot command a terminal', async () => {
    const hostile = '\u001b[2J\u009b2J\u202e'
    const forged = { originalDigest: hostile, platform: hostile, mediaType: hostile, size: 1 }
    const records = [
      { type: 'soci_index', artifactType: 'application/vnd.amazon.soci.index.v1+json' },
      { type: 'soci_layer', artifactType: '' },
    ]
    for (const [i, record] of records.entries()) {
      const digest = `sha256:${String(i).repeat(64)}`
      const key = `.s3lo/soci/artifacts/${digest.replace(':', '-')}.json`
      await backend.put(key, Buffer.from(JSON.stringify({ ...forged, ...record, digest })))
    }
    for (const words of [['list'], ['ztoc', 'list']]) {
      const { output } = await run('soci', ...words, 'mem://b/')
      const text = output?.render(output.result) ?? ''
      expect(text).toContain('\\x1b')
      expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u)
    }
  })
})

describe('soci ztoc', () => {
  it('lists, shows and reads', async () => {
    await run('soci', 'create', REF, '--min-layer-size', '0')
    const digest = await onlyDigest('soci', 'ztoc', 'list', 'mem://b/')
    expect(await resultOf('soci', 'ztoc', 'info', 'mem://b/', digest)).toMatchObject({
      version: '0.9',
      num_files: 3,
      span_size: 4 * 1024 * 1024,
      files: [{ filename: 'etc/motd', size: 8, type: 'reg' }, {}, {}],
    })
    const read = await run('soci', 'ztoc', 'get-file', 'mem://b/', digest, 'etc/last')
    expect(read.text).toBe('last\n')
    await expect(run('soci', 'ztoc', 'get-file', 'mem://b/', digest, 'none')).rejects.toMatchObject(
      { code: 'NOT_FOUND' },
    )
    const index = await onlyDigest('soci', 'list', 'mem://b/')
    await expect(run('soci', 'ztoc', 'info', 'mem://b/', index)).rejects.toMatchObject({
      code: 'USAGE',
    })
  })
})

describe('cat', () => {
  it('fetches only what holds the file once there is an index', async () => {
    expect(await cat('/etc/last')).toEqual({ text: 'last\n', fetched: LAYER.length })
    expect(await cat('/etc/last', true)).toMatchObject({ text: 'last\n' })
    const kept = await backend.list('.s3lo/soci/layers/')[Symbol.asyncIterator]().next()
    expect(kept.done).toBe(false)
    expect((await cat('/etc/motd')).text).toBe('welcome\n')
  })

  it('finds the zTOC of an index of the image, of either version', async () => {
    await run('soci', 'create', REF, '--min-layer-size', '0', '--span-size', '100000')
    for await (const { key } of backend.list('.s3lo/soci/layers/')) await backend.delete([key])
    const direct = await cat('/etc/last')
    expect(direct.text).toBe('last\n')
    await run(
      'soci',
      'convert',
      REF,
      '--in-place',
      '--min-layer-size',
      '0',
      '--span-size',
      '100000',
    )
    for await (const { key } of backend.list('.s3lo/soci/layers/')) await backend.delete([key])
    expect((await cat('/etc/motd')).text).toBe('welcome\n')
  })

  it('reads the whole layer when its index is damaged, and a new one can be made', async () => {
    await cat('/etc/last', true)
    for await (const { key } of backend.list('.s3lo/soci/layers/')) {
      await backend.put(key, Buffer.from('damaged'))
    }
    const whole = await cat('/etc/last')
    expect(whole.text).toBe('last\n')
    expect(whole.fetched).toBeGreaterThan(LAYER.length)
    await cat('/etc/last', true)
    expect((await cat('/etc/last')).text).toBe('last\n')
  })

  describe('with an index that is of no use', () => {
    const spans = ['--min-layer-size', '0', '--span-size', '100000']

    /** Creates an index that only the image names; returns what its creation has stored. */
    async function createIndex(): Promise<readonly string[]> {
      const before = new Set(await world.keys())
      await run('soci', 'create', REF, ...spans)
      await backend.delete(await world.keys('.s3lo/soci/layers/'))
      return (await world.keys()).filter((key) => !before.has(key))
    }

    /** Attaches what calls itself an index and is none; it is listed before `others`. */
    async function attachForeign(others = 'sha256-g'): Promise<void> {
      const { digest } = await host.inspect(REF)
      const subject = { mediaType: MEDIA_TYPE.ociManifest, digest, size: 1 }
      const type = 'application/vnd.amazon.soci.index.v1+json'
      for (let i = 0; ; i++) {
        const { root } = referrerFixture(subject, type, `foreign ${i}`)
        const name = `${root.descriptor.digest.replace(':', '-')}.json`
        if (name > others) continue
        const own = `.s3lo/repositories/app`
        await backend.put(`${own}/_manifests/${name}`, root.content)
        const entry = { v: 1, ...root.descriptor, artifactType: type }
        const listed = `${own}/_referrers/${digest.replace(':', '-')}/${name}`
        await backend.put(listed, Buffer.from(JSON.stringify(entry)))
        return
      }
    }

    it('reads the whole layer where it is none', async () => {
      await attachForeign()
      expect((await cat('/etc/last')).text).toBe('last\n')
      expect(await host.files(REF, '/etc')).toHaveLength(2)
    })

    it('reads the whole layer where its zTOC is missing', async () => {
      const stored = await createIndex()
      await backend.delete(stored.filter((key) => !key.startsWith('.s3lo/repositories/')))
      expect((await cat('/etc/last')).text).toBe('last\n')
    })

    it('continues with one that is', async () => {
      const stored = await createIndex()
      const referrer = stored.find((key) => key.includes('/_referrers/')) ?? ''
      const { fetched } = await cat('/etc/motd')
      // The zTOC is larger than this layer.
      expect(fetched).toBeGreaterThan(LAYER.length)
      await attachForeign(referrer.slice(referrer.lastIndexOf('/') + 1))
      const { text, fetched: more } = await cat('/etc/motd')
      expect(text).toBe('welcome\n')
      expect(more).toBeGreaterThan(fetched)
    })

    it('still misses what is not there', async () => {
      await attachForeign()
      await expect(cat('/etc/none')).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const take = (): Promise<void> => Promise.resolve()
      const none = host.cat('mem://b/app:none', '/etc/motd', take)
      await expect(none).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await backend.delete([`blobs/sha256/${digestOf(LAYER).slice(7)}`])
      await expect(cat('/etc/motd')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })
})
