import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  type Descriptor,
  digestOf,
  ImageStore,
  parseManifest,
  type Platform,
  readAll,
} from '@s3lo/core'
import { MemoryBackend } from '@s3lo/core/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { ArtifactsDb } from '../../src/artifacts/artifacts-db.ts'
import { IndexBuilder } from '../../src/index/build.ts'
import type { IndexBuilderOptions } from '../../src/index/build-contract.ts'
import { encodeIndex, encodeManifest } from '../../src/index/canonical-json.ts'
import { convert } from '../../src/index/convert.ts'
import { marshalIndex, unmarshalIndex } from '../../src/index/soci-index.ts'
import { END, file, header, LAYERS, layerOf } from '../ztoc/tar-fixture.ts'

const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const amd64: Platform = { os: 'linux', architecture: 'amd64' }
const arm64: Platform = { os: 'linux', architecture: 'arm64' }

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let store: ImageStore
let db: ArtifactsDb

beforeEach(() => {
  const backend = new MemoryBackend()
  store = new ImageStore(backend)
  db = new ArtifactsDb(backend)
})

function builder(options: IndexBuilderOptions = {}): IndexBuilder {
  return new IndexBuilder(store, store, db, {
    repository: 'app',
    minLayerSize: 0,
    buildToolIdentifier: 'AWS SOCI CLI v0.2',
    now: () => new Date('2026-01-01T00:00:00Z'),
    ...options,
  })
}

async function put(content: Buffer, mediaType: string): Promise<Descriptor> {
  const descriptor = { mediaType, digest: digestOf(content), size: content.length }
  await store.begin().put(descriptor, async () => Readable.from([content]))
  return descriptor
}

async function image(
  { architecture }: Platform,
  layers: readonly (readonly [Buffer, string])[],
  diffIds: readonly string[] = [],
): Promise<Descriptor> {
  const config = { architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } }
  return put(
    encodeManifest({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: await put(Buffer.from(JSON.stringify(config)), CONFIG),
      layers: await Promise.all(layers.map(([content, mediaType]) => put(content, mediaType))),
    }),
    MANIFEST,
  )
}

/** An image of two layers, whose SOCI indexes are known byte for byte. */
function golden(): Promise<Descriptor> {
  return image(
    amd64,
    [
      [LAYERS.B, GZIP],
      [LAYERS.A, GZIP],
    ],
    [
      'sha256:a58e65d0e5c2fa24df36e6ca7f4333dbe9858cac92e67405c260329122367630',
      'sha256:0e5319628a10376cacbb04d6ce4e6b8d0ca5a4cfadf55123830b646c1e4c4b6f',
    ],
  )
}

async function read(descriptor: Descriptor): Promise<Buffer> {
  return Buffer.from(await readAll(await store.fetch(descriptor), 1 << 24, 'test content'))
}

describe('golden manifests', () => {
  test('an index of version 1 has the bytes of the original', async () => {
    const root = await golden()
    expect(root.digest).toBe(
      'sha256:21c1e55ff29fee14862751a703caa425c230fc75e1bbf843e70774c6df58cfb0',
    )
    const { document } = await builder().build(root, { platform: amd64 })
    expect(document.descriptor).toMatchObject({
      digest: 'sha256:b55fcad19bd196bbfa9a4be1873abd2974cf15ba5924edc7fac1de50bfb3f2ad',
      size: 1261,
    })
    expect(marshalIndex(unmarshalIndex(document.content))).toEqual(document.content)
  })

  test('an index of version 2 has the bytes of the original, with xattr optimisation too', async () => {
    const root = await golden()
    const plain = await builder().build(root, { platform: amd64, version: 'v2' })
    expect(plain.document.descriptor).toMatchObject({
      digest: 'sha256:ee12afab83cd2debd40d3e31aae8101738d082974c1218873e7197d7908a6233',
      size: 1098,
    })
    for (const _ of ['of what is built', 'of what is reused']) {
      const optimised = await builder({ optimizations: ['xattr'] }).build(root, {
        platform: amd64,
        version: 'v2',
      })
      expect(optimised.document.descriptor).toMatchObject({
        digest: 'sha256:69322574cd9707d5feee4b638d06ac2a506d6ae5b964365e96c4f2722e54018d',
        size: 1178,
      })
    }
  })

  test('a converted image has the bytes of the original, and converting it again changes nothing', async () => {
    const root = await golden()
    const { document } = await convert(builder(), root)
    expect(document.descriptor).toEqual({
      mediaType: INDEX,
      digest: 'sha256:600c26dbf14591b520ee34ee145219941f946b5c40def7c78974bde4bf6a0e08',
      size: 802,
    })
    const converted = parseManifest(document.content, 'converted')
    const [manifest] = converted.kind === 'index' ? converted.manifests : []
    expect(manifest?.digest).toBe(
      'sha256:d2782aed771748234f542a7d3f7da175efb9c087fc1546366a87199fca9e8b8c',
    )
    const again = await convert(builder(), await put(Buffer.from(document.content), INDEX), {
      platforms: [amd64],
    })
    expect(again.document.descriptor.digest).toBe(document.descriptor.digest)
  })

  test('the records of a converted image name it', async () => {
    const { document } = await convert(builder(), await golden())
    expect(await db.getArtifactEntriesByImageDigest(document.descriptor.digest)).toEqual([
      'sha256:ee12afab83cd2debd40d3e31aae8101738d082974c1218873e7197d7908a6233',
    ])
  })
})

describe('converting', () => {
  async function multi(extra: readonly object[] = []): Promise<Descriptor> {
    const entries = [
      { ...(await image(amd64, [[LAYERS.A, GZIP]])), platform: amd64 },
      { ...(await image(arm64, [[LAYERS.B, GZIP]])), platform: arm64 },
      ...extra,
    ]
    return put(encodeIndex({ schemaVersion: 2, mediaType: INDEX, manifests: entries }), INDEX)
  }

  function entriesOf(content: Uint8Array): readonly Descriptor[] {
    const parsed = parseManifest(content, 'index')
    return parsed.kind === 'index' ? parsed.manifests : []
  }

  test('a subset of a converted image leaves the other platforms and their indexes alone', async () => {
    const all = await convert(builder(), await multi(), { allPlatforms: true })
    expect(entriesOf(all.document.content)).toHaveLength(4)
    const root = await put(Buffer.from(all.document.content), INDEX)
    const subset = await convert(builder({ spanSize: 1024 }), root, { platforms: [arm64] })
    const [before, after] = [entriesOf(all.document.content), entriesOf(subset.document.content)]
    expect([after[0], after[2]]).toEqual([before[0], before[2]])
    expect(after[1]?.digest).not.toBe(before[1]?.digest)
    expect(after[3]?.digest).not.toBe(before[3]?.digest)
    expect(after).toHaveLength(4)
  })

  test('attestations follow their manifests, and unknown members stay as they are', async () => {
    const attest = async (digest: string): Promise<object> => ({
      ...(await image({ os: 'unknown', architecture: 'unknown' }, [
        [Buffer.from(digest), 'application/vnd.in-toto+json'],
      ])),
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': digest,
      },
      platform: { architecture: 'unknown', os: 'unknown' },
      extra: { kept: [1] },
    })
    const [first, second] = entriesOf(await read(await multi()))
    const given = [await attest(first!.digest), await attest(second!.digest)]
    const converted = await convert(builder(), await multi(given), { platforms: [amd64] })
    const { manifests } = JSON.parse(Buffer.from(converted.document.content).toString())
    const rewritten = manifests[0].digest
    expect(rewritten).not.toBe(first!.digest)
    expect(manifests.slice(2, 4)).toEqual([
      {
        ...given[0],
        annotations: {
          'vnd.docker.reference.type': 'attestation-manifest',
          'vnd.docker.reference.digest': rewritten,
        },
      },
      // The manifest of the other platform is the same.
      given[1],
    ])
    expect(converted.attestations).toBe(1)
    expect(manifests).toHaveLength(5)
  })

  test('each index and its manifest name each other, under OCI types', async () => {
    const { document, indexes } = await convert(builder(), await multi(), { allPlatforms: true })
    const entries = entriesOf(document.content)
    for (const [i, { document: soci }] of indexes.entries()) {
      const listed = entries[i + 2]
      expect(listed?.digest).toBe(soci.descriptor.digest)
      const manifest = entries.find(
        ({ digest }) => digest === listed?.annotations?.['com.amazon.soci.image-manifest-digest'],
      )
      expect(manifest?.annotations?.['com.amazon.soci.index-digest']).toBe(soci.descriptor.digest)
      const body = parseManifest(await read(manifest!), 'manifest')
      expect(body.annotations?.['com.amazon.soci.index-digest']).toBe(soci.descriptor.digest)
    }
  })

  test('a Docker manifest becomes an OCI one, its config untouched', async () => {
    const config = await put(
      Buffer.from('{"architecture":"amd64","os":"linux"}'),
      'application/vnd.docker.container.image.v1+json',
    )
    const type = 'application/vnd.docker.distribution.manifest.v2+json'
    const layer = await put(LAYERS.A, 'application/vnd.docker.image.rootfs.diff.tar.gzip')
    const root = await put(
      Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: type, config, layers: [layer] }, null, 3),
      ),
      type,
    )
    const { document } = await convert(builder(), root)
    const [entry] = entriesOf(document.content)
    const body = parseManifest(await read(entry!), 'manifest')
    expect(body).toMatchObject({
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, digest: config.digest },
      layers: [layer],
    })
  })

  test('a platform that is not there is not found', async () => {
    const missing = { os: 'linux', architecture: 's390x' }
    await expect(convert(builder(), await multi(), { platforms: [missing] })).rejects.toMatchObject(
      { code: 'NOT_FOUND' },
    )
  })

  test('spellings of one platform are converted once', async () => {
    const { indexes } = await convert(builder(), await multi(), {
      platforms: [amd64, { os: 'linux', architecture: 'x86_64' }],
    })
    expect(indexes).toHaveLength(1)
  })
})

describe('layers', () => {
  test('those below the minimum size are skipped, one of just that size is not', async () => {
    const root = await image(amd64, [
      [LAYERS.A, GZIP],
      [LAYERS.B, GZIP],
    ])
    const { index, skipped } = await builder({ minLayerSize: LAYERS.B.length }).build(root, {
      platform: amd64,
    })
    expect(index.blobs).toHaveLength(1)
    expect(skipped).toEqual([
      { digest: digestOf(LAYERS.A), reason: 'it has 2071 bytes, less than 5150' },
    ])
    await expect(
      builder({ minLayerSize: LAYERS.B.length + 1 }).build(root, { platform: amd64 }),
    ).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  test('those that no zTOC can describe are skipped with a reason, and the rest are indexed', async () => {
    const globalHeader = layerOf(
      Buffer.concat([header('pax_global_header', { type: 'g' }), file('x', ''), END]),
    )
    const trailing = Buffer.concat([LAYERS.A, Buffer.alloc(16)])
    const root = await image(amd64, [
      [globalHeader, GZIP],
      [trailing, GZIP],
      [Buffer.from('zstd'), 'application/vnd.oci.image.layer.v1.tar+zstd'],
      [Buffer.from('secret'), 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted'],
      [LAYERS.A, 'application/vnd.docker.image.rootfs.diff.tar'],
    ])
    const { index, skipped } = await builder().build(root, { platform: amd64 })
    expect(
      index.blobs.map(({ annotations }) => annotations?.['com.amazon.soci.image-layer-digest']),
    ).toEqual([digestOf(LAYERS.A)])
    expect(skipped).toHaveLength(4)
  })

  test('what is not a layer fails the build', async () => {
    const root = await image(amd64, [[Buffer.from('{}'), 'application/vnd.in-toto+json']])
    await expect(builder().build(root, { platform: amd64 })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
  })

  test('a layer that is not its digest’s fails the build instead of being skipped', async () => {
    const root = await image(amd64, [[LAYERS.A, GZIP]])
    const torn = Buffer.from(LAYERS.A)
    torn[100] = 0xff
    const hex = digestOf(LAYERS.A).slice('sha256:'.length)
    await store.backend.put(`blobs/sha256/${hex}`, torn)
    await expect(builder().build(root, { platform: amd64 })).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  test('zTOCs are reused for the same span size, unless they are to be made again', async () => {
    const root = await golden()
    expect((await builder().build(root, { platform: amd64 })).reused).toBe(0)
    expect((await builder().build(root, { platform: amd64 })).reused).toBe(2)
    expect((await builder({ spanSize: 1024 }).build(root, { platform: amd64 })).reused).toBe(0)
    expect(
      (await builder({ buildToolIdentifier: 'other' }).build(root, { platform: amd64 })).reused,
    ).toBe(0)
    expect(
      (await builder({ forceRecreateZtocs: true }).build(root, { platform: amd64 })).reused,
    ).toBe(0)
  })

  test('sizes that are negative are refused', () => {
    expect(() => builder({ spanSize: -1 })).toThrow(expect.objectContaining({ code: 'USAGE' }))
    expect(() => builder({ minLayerSize: -1 })).toThrow(expect.objectContaining({ code: 'USAGE' }))
    expect(() => builder({ spanSize: 2 ** 63 })).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

test('the digest of a text is the one of the notes', () => {
  expect(sha256(Buffer.from('{}'))).toBe(
    '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
  )
})
