import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { MAX_CONFIG_BYTES, parseImageConfig } from '../../src/oci/config.ts'
import { totalSize, uniqueByDigest } from '../../src/oci/descriptor.ts'
import {
  documentWith,
  isIndexContent,
  MAX_MANIFEST_BYTES,
  parseDocument,
  parseManifest,
  successors,
  toDocument,
} from '../../src/oci/document.ts'
import { isIndexMediaType, isManifestMediaType, MEDIA_TYPE } from '../../src/oci/media-type.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const SHA512 = `sha512:${'b'.repeat(128)}`
const CONFIG = { mediaType: MEDIA_TYPE.ociConfig, digest: DIGEST, size: 2 }
const LAYER = { mediaType: MEDIA_TYPE.ociLayerGzip, digest: SHA512, size: 3 }
const MANIFEST = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.ociManifest,
  config: CONFIG,
  layers: [LAYER],
}
const CHILD = {
  mediaType: MEDIA_TYPE.ociManifest,
  digest: DIGEST,
  size: 4,
  platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
}
const INDEX = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [CHILD] }

const bytes = (document: unknown): Uint8Array =>
  Buffer.from(typeof document === 'string' ? document : JSON.stringify(document))
const parse = (document: unknown) => parseManifest(bytes(document), 'app:v1')
const readConfig = (document: unknown) => parseImageConfig(bytes(document), DIGEST)

function code(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
  return undefined
}

describe('isIndexContent', () => {
  const platform = { os: 'linux', architecture: 'amd64' }
  it.each([
    ['an OCI index', INDEX, true],
    ['a Docker manifest list', { ...INDEX, mediaType: MEDIA_TYPE.dockerIndex }, true],
    ['an OCI manifest', MANIFEST, false],
    [
      'a manifest that has a list of manifests as well',
      { ...MANIFEST, manifests: [{ platform }] },
      false,
    ],
    ['no media type and a platform', { schemaVersion: 2, manifests: [{ platform }] }, true],
    ['an empty media type', { schemaVersion: 2, mediaType: '', manifests: [{}] }, true],
    ['no media type and no platform', { schemaVersion: 2, manifests: [{}] }, true],
    ['no media type and no entries', { schemaVersion: 2, manifests: [] }, true],
    ['no media type and no version', { manifests: [{ platform }] }, false],
    ['no media type and no list', { schemaVersion: 2, manifests: {} }, false],
    ['null', null, false],
    ['invalid JSON', '{"mediaType":', false],
    ['a list', [INDEX], false],
  ])('of %s', (_name, document, expected) => {
    expect(isIndexContent(bytes(document))).toBe(expected)
  })
})

describe('parseManifest', () => {
  it('reads a manifest', () => {
    const manifest = parse({
      ...MANIFEST,
      annotations: { a: 'b' },
      subject: CONFIG,
      artifactType: 'x/y',
    })
    expect(manifest).toEqual({
      kind: 'manifest',
      mediaType: MEDIA_TYPE.ociManifest,
      config: CONFIG,
      layers: [LAYER],
      annotations: { a: 'b' },
      subject: CONFIG,
      artifactType: 'x/y',
    })
    expect(successors(manifest)).toEqual([CONFIG, LAYER])
  })

  it('reads an index', () => {
    const index = parse(INDEX)
    expect(index).toEqual({ kind: 'index', mediaType: MEDIA_TYPE.ociIndex, manifests: [CHILD] })
    expect(successors(index)).toEqual([CHILD])
  })

  it('reads the manifest that the Go program pushes', () => {
    const text =
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:1ab49c19c53ebca95c787b482aeda86d1d681f58cdf19278c476bcaf37d96de1","size":627},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:45f3ea5848e8a25ca27718b640a21ffd8c8745d342a24e1d4ddfc8c449b0a724","size":8982528}]}'
    const { descriptor, manifest } = parseDocument(bytes(text), 'app')
    expect(descriptor).toEqual({
      mediaType: MEDIA_TYPE.ociManifest,
      digest: 'sha256:4c5b5db9f138b868afb7d7ebb6f3ff80b4761eb438a91c0be31e98e85397ec81',
      size: 400,
    })
    expect(totalSize(successors(manifest))).toBe(627 + 8982528)
  })

  it('gives a document without a media type the one it must have', () => {
    const { mediaType: _manifest, ...manifest } = MANIFEST
    const { mediaType: _index, ...index } = INDEX
    expect(parse(manifest).mediaType).toBe(MEDIA_TYPE.ociManifest)
    expect(parse(index).mediaType).toBe(MEDIA_TYPE.ociIndex)
  })

  it('reads the null that Go writes for an empty list', () => {
    expect(parse({ ...INDEX, manifests: null })).toEqual({
      kind: 'index',
      mediaType: MEDIA_TYPE.ociIndex,
      manifests: [],
    })
    expect(parse({ ...MANIFEST, layers: null })).toMatchObject({ layers: [] })
  })

  it('takes null and absence of optional members for the same', () => {
    const manifest = {
      ...MANIFEST,
      annotations: null,
      subject: null,
      artifactType: null,
      layers: null,
    }
    expect(parse(manifest)).toEqual({
      kind: 'manifest',
      mediaType: MEDIA_TYPE.ociManifest,
      config: CONFIG,
      layers: [],
    })
  })

  const config = (change: object) => ({ ...MANIFEST, config: { ...CONFIG, ...change } })
  const layer = (change: object) => ({ ...MANIFEST, layers: [{ ...LAYER, ...change }] })

  it.each([
    ['no config', { ...MANIFEST, config: undefined }],
    ['a null config', { ...MANIFEST, config: null }],
    ['a config that is a text', { ...MANIFEST, config: DIGEST }],
    ['an empty config', { ...MANIFEST, config: {} }],
    ['an empty digest', config({ digest: '' })],
    ['a digest without a colon', config({ digest: 'a'.repeat(64) })],
    ['a digest that climbs', config({ digest: 'sha256:../../etc/passwd' })],
    ['a digest that is a number', config({ digest: 5 })],
    ['no digest', config({ digest: undefined })],
    ['a bad layer digest', layer({ digest: `sha256:${'z'.repeat(64)}` })],
    ['a layer digest in upper case', layer({ digest: DIGEST.toUpperCase() })],
    ['no layers', { ...MANIFEST, layers: undefined }],
    ['layers that are an object', { ...MANIFEST, layers: {} }],
    ['a layer that is null', { ...MANIFEST, layers: [null] }],
    ['a negative size', layer({ size: -1 })],
    ['half a byte', layer({ size: 0.5 })],
    ['a size that is a text', layer({ size: '3' })],
    ['a size that is null', layer({ size: null })],
    ['a size past what a double holds', layer({ size: 2 ** 53 })],
    ['a media type that is a number', { ...MANIFEST, mediaType: 5 }],
    ['a layer media type that is an object', layer({ mediaType: {} })],
    ['annotations that are a list', { ...MANIFEST, annotations: [] }],
    ['an annotation that is a number', { ...MANIFEST, annotations: { a: 1 } }],
    ['a subject without a digest', { ...MANIFEST, subject: {} }],
    ['a text of no end', { ...MANIFEST, artifactType: 'x'.repeat(100_000) }],
    ['an index without manifests', { ...INDEX, manifests: undefined }],
    ['an index of texts', { ...INDEX, manifests: ['x'] }],
    ['a platform that is a text', { ...INDEX, manifests: [{ ...CHILD, platform: 'linux' }] }],
    ['null', null],
    ['a list', []],
    ['a text', '"text"'],
    ['nothing', ''],
    ['JSON with a tail', `${JSON.stringify(MANIFEST)}x`],
    ['an infinite size', JSON.stringify(layer({ size: 7 })).replace('7', '1e999')],
  ])('refuses %s', (_name, document) => {
    expect(code(() => parse(document))).toBe('INTEGRITY')
  })

  it('names the document and the member that is wrong', () => {
    const [first] = MANIFEST.layers
    expect(() => parse({ ...MANIFEST, layers: [first, { ...LAYER, size: -1 }] })).toThrow(
      'manifest app:v1.layers[1].size',
    )
  })

  it.each([
    ['schema version 1', { schemaVersion: 1, name: 'a', fsLayers: [] }],
    ['its media type', { schemaVersion: 2, mediaType: MEDIA_TYPE.dockerManifestSchema1 }],
    ['its signed media type', { mediaType: MEDIA_TYPE.dockerManifestSchema1Signed }],
  ])('does not support schema 1, told by %s', (_name, document) => {
    expect(code(() => parse(document))).toBe('UNSUPPORTED')
  })

  it('keeps hostile keys as plain ones', () => {
    const text = JSON.stringify({ ...MANIFEST, annotations: { k: 'v' } })
      .replace('"k":', '"__proto__":')
      .replace('{"schemaVersion"', '{"__proto__":{"config":null,"polluted":true},"schemaVersion"')
    const { annotations } = parse(text)
    expect(Object.keys(annotations ?? {})).toEqual(['__proto__'])
    expect(annotations?.['__proto__']).toBe('v')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  it('does not find members that a document inherits', () => {
    const inherited = JSON.stringify({ schemaVersion: 2, layers: [] }).replace(
      '{',
      `{"__proto__":{"config":${JSON.stringify(CONFIG)}},`,
    )
    expect(code(() => parse(inherited))).toBe('INTEGRITY')
  })

  it('reads as many entries as four mebibytes hold', () => {
    const short = { digest: DIGEST, size: 1 }
    const count = Math.floor((MAX_MANIFEST_BYTES - 300) / (JSON.stringify(short).length + 1))
    const manifest = parse({ ...MANIFEST, layers: Array.from({ length: count }, () => short) })
    expect(uniqueByDigest(successors(manifest))).toHaveLength(1)
    expect(count).toBeGreaterThan(40_000)
    expect(
      code(() =>
        parse(`{"config":${JSON.stringify(CONFIG)},"layers":[${'{},'.repeat(100_000)}{}]}`),
      ),
    ).toBe('INTEGRITY')
    const annotations = Object.fromEntries(
      Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 'v']),
    )
    expect(Object.keys(parse({ ...MANIFEST, annotations }).annotations ?? {})).toHaveLength(100_000)
  })

  it('refuses a document of more than four mebibytes', () => {
    const text = JSON.stringify(MANIFEST)
    expect(code(() => parse(text.padEnd(MAX_MANIFEST_BYTES)))).toBeUndefined()
    expect(code(() => parse(text.padEnd(MAX_MANIFEST_BYTES + 1)))).toBe('INTEGRITY')
  })

  it('survives deep nesting', () => {
    const depth = 500_000
    const lists = '['.repeat(depth) + ']'.repeat(depth)
    const objects = '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)
    expect(code(() => parse(lists))).toBe('INTEGRITY')
    expect(code(() => parse(objects))).toBe('INTEGRITY')
    expect(code(() => parse('['.repeat(depth)))).toBe('INTEGRITY')
    expect(isIndexContent(bytes(lists))).toBe(false)
    const ignored = JSON.stringify(MANIFEST).replace('{', `{"x":${lists},`)
    expect(parse(ignored).kind).toBe('manifest')
  })

  it('refuses invalid UTF-8', () => {
    const content = Buffer.from(JSON.stringify({ ...MANIFEST, artifactType: '?' }))
    content[content.indexOf('?')] = 0xff
    expect(code(() => parseManifest(content, 'app'))).toBe('INTEGRITY')
    expect(isIndexContent(content)).toBe(false)
  })
})

describe('a document', () => {
  const content = bytes(JSON.stringify(INDEX))

  it('is parsed once, when its manifest is first used', () => {
    const document = toDocument(content, MEDIA_TYPE.ociIndex)
    expect(document.manifest).toEqual(parse(INDEX))
    expect(document.manifest).toBe(document.manifest)
  })

  it('of bytes that are no manifest can be carried; its manifest is INTEGRITY and names the digest', () => {
    const document = toDocument(bytes('[]'), MEDIA_TYPE.ociIndex)
    expect(() => document.manifest).toThrow(document.descriptor.digest)
    expect(code(() => document.manifest)).toBe('INTEGRITY')
  })

  it('keeps what the caller knows of its descriptor, and takes the media type from the bytes', () => {
    const known = { ...CHILD, mediaType: MEDIA_TYPE.ociManifest, size: content.byteLength }
    const { descriptor, manifest } = parseDocument(content, 'app', known)
    expect(descriptor).toEqual({ ...known, mediaType: MEDIA_TYPE.ociIndex })
    expect(manifest.kind).toBe('index')
    expect(documentWith(known, content).descriptor).toBe(known)
  })

  it('that is spread keeps its manifest', () => {
    expect({ ...toDocument(content, MEDIA_TYPE.ociIndex) }.manifest.kind).toBe('index')
  })
})

describe('parseImageConfig', () => {
  it('reads the platform and the layers', () => {
    const document = {
      os: 'linux',
      architecture: 'arm',
      variant: 'v7',
      rootfs: { diff_ids: [DIGEST] },
      x: 1,
    }
    expect(readConfig(document)).toEqual({
      platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
      diffIds: [DIGEST],
    })
  })

  it('reads the empty config of an artifact', () => {
    expect(readConfig('{}')).toEqual({ platform: { os: '', architecture: '' }, diffIds: [] })
  })

  it.each([
    '',
    '[]',
    'null',
    '{"os":5}',
    '{"rootfs":[]}',
    '{"rootfs":{"diff_ids":{}}}',
    '{"rootfs":{"diff_ids":["x"]}}',
    '{"rootfs":{"diff_ids":[null]}}',
  ])('refuses %j', (text) => {
    expect(code(() => readConfig(text))).toBe('INTEGRITY')
  })

  it('may be larger than a manifest', () => {
    expect(MAX_CONFIG_BYTES).toBeGreaterThan(MAX_MANIFEST_BYTES)
  })
})

describe('media types', () => {
  it('tells documents from other content', () => {
    const types = Object.values(MEDIA_TYPE)
    expect(types.filter(isIndexMediaType)).toEqual([MEDIA_TYPE.ociIndex, MEDIA_TYPE.dockerIndex])
    expect(types.filter(isManifestMediaType)).toEqual([
      MEDIA_TYPE.ociManifest,
      MEDIA_TYPE.ociIndex,
      MEDIA_TYPE.ociArtifact,
      MEDIA_TYPE.dockerManifest,
      MEDIA_TYPE.dockerIndex,
    ])
  })
})
