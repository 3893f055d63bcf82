import { digestOf, type ImageStore, signatureTagOf, SIMPLE_SIGNING_TYPE } from '@s3lo/core'
import { describe, expect, it } from 'vitest'
import { BUNDLE_TYPE } from '../src/cosign/bundle.ts'
import { SIGNATURE_ANNOTATION } from '../src/cosign/simple-signing.ts'
import { signImage, verifyImage } from '../src/index.ts'
import { newSigner, referenceTo, storeWithImage } from './world.ts'

const reference = referenceTo()
const CONTENT = digestOf(Buffer.from('elsewhere'))
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

const SCHEMA_1 = Buffer.from('{"schemaVersion":1}')

/** Only its maker distributes it: no store has it. */
const FOREIGN = {
  mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  digest: CONTENT,
  size: 9,
  urls: ['https://example.test/layer'],
  annotations: { [SIGNATURE_ANNOTATION]: 'AAAA' },
}

const CHUNKED = { ...FOREIGN, mediaType: SIMPLE_SIGNING_TYPE, urls: undefined }

function manifestOf(layer: object, members: object = {}): Buffer {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: CONTENT, size: 9 }
  const document = { schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers: [layer] }
  return Buffer.from(JSON.stringify({ ...document, ...members }))
}

async function putSigTag(store: ImageStore, digest: string, layer: object): Promise<void> {
  await store.backend.put(
    `manifests/org/app/${signatureTagOf(digest)}/manifest.json`,
    manifestOf(layer),
  )
}

async function putReferrer(store: ImageStore, subject: string, content: Buffer): Promise<void> {
  const own = '.s3lo/repositories/org/app'
  const digest = digestOf(content)
  const name = `${digest.replace(':', '-')}.json`
  const facts = { mediaType: MANIFEST_TYPE, digest, size: content.byteLength }
  const entry = JSON.stringify({ v: 1, ...facts, artifactType: BUNDLE_TYPE })
  await store.backend.put(`${own}/_manifests/${name}`, content)
  await store.backend.put(
    `${own}/_referrers/${subject.replace(':', '-')}/${name}`,
    Buffer.from(entry),
  )
}

/** Everything that an attacker with write access to the bucket put beside an image. */
const HOSTILE: Readonly<Record<string, (store: ImageStore, digest: string) => Promise<void>>> = {
  'a signature that only its maker distributes': (store, digest) =>
    putSigTag(store, digest, FOREIGN),
  'a signature in chunks': async (store, digest) => {
    await store.backend.put(`recipes/sha256/${CONTENT.slice(7)}`, Buffer.from('{}'))
    await putSigTag(store, digest, CHUNKED)
  },
  'a bundle that only its maker distributes': (store, digest) =>
    putReferrer(store, digest, manifestOf(FOREIGN, { artifactType: BUNDLE_TYPE })),
  'a referrer of schema 1': (store, digest) => putReferrer(store, digest, SCHEMA_1),
  'a referrer that is no document': (store, digest) =>
    putReferrer(store, digest, Buffer.from('hello')),
}

describe.each(Object.entries(HOSTILE))('an image beside which there is %s', (_, spoil) => {
  it('is not verified, is signed all the same, and is verified then', async () => {
    const store = await storeWithImage()
    const { digest } = await store.resolve(reference)
    await spoil(store, digest)
    const signer = newSigner()
    const verify = (options: object): ReturnType<typeof verifyImage> =>
      verifyImage(store, reference, signer.publicKey, options)

    const before = await verify({ allowCosign: true })
    expect(before.verified).toBe(false)
    expect(before.reason).toMatch(/./)
    await signImage(store, reference, signer)
    expect(await verify({ signedAfter: new Date(0) })).toMatchObject({ verified: true })
    expect(await verify({ allowCosign: true })).toMatchObject({ verified: true })
  })
})

describe('content that is no image', () => {
  it.each([
    ['by its digest', 'manifests/org/app/v8/manifest.json', { digest: digestOf(SCHEMA_1) }],
    ['in layout v1.0.0', 'org/app/v9/manifest.json', { tag: 'v9' }],
  ])('%s is not verified', async (_, key, version) => {
    const store = await storeWithImage()
    await store.backend.put(key, SCHEMA_1)
    const { tag: _tag, ...place } = reference
    const result = await verifyImage(store, { ...place, ...version }, newSigner().publicKey)
    expect(result).toMatchObject({ verified: false, reason: expect.stringMatching(/schema 1/) })
  })
})
