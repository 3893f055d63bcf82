import { createHash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  type Descriptor,
  digestOf,
  foldSignatures,
  ImageStore,
  S3loError,
  signatureManifest,
  SIMPLE_SIGNING_TYPE,
  withPublication,
} from '@s3lo/core'
import { FaultyBackend, imageFixture, MemoryBackend, putImage } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import { LocalSigner, PublicKey, signImage, verifyImage } from '../src/index.ts'
import { formatRecord, recordPayload, type RecordSchema } from '../src/record.ts'
import {
  GOLDEN,
  goldenKey,
  keysOfEveryKind,
  newSigner,
  readBytes,
  readJson,
  referenceTo,
  storeWithImage,
} from './world.ts'

const reference = referenceTo()
const recordKey = `manifests/org/app/v1.0/signatures/${GOLDEN.keyId}.json`

async function goldenStore(schemaVersion: RecordSchema): Promise<ImageStore> {
  const backend = new MemoryBackend({ bucket: 'my-bucket' })
  await backend.put('manifests/org/app/v1.0/manifest.json', Buffer.from(GOLDEN.manifest))
  const signature = schemaVersion === 1 ? GOLDEN.signature1 : GOLDEN.signature2
  const record = {
    schemaVersion,
    digest: GOLDEN.digest,
    keyRef: 'cosign.key',
    keyID: GOLDEN.keyId,
    algorithm: 'ECDSA_SHA_256',
    signature,
    signedAt: '2026-01-02T03:04:05Z',
  }
  await backend.put(recordKey, Buffer.from(JSON.stringify(record)))
  return new ImageStore(backend)
}

async function referrersOf(store: ImageStore): Promise<readonly Descriptor[]> {
  const subject = await store.resolve(reference)
  return Array.fromAsync(store.referrers(reference.name, subject))
}

describe('the golden vectors', () => {
  const key = new PublicKey(goldenKey())

  it('have the key id and the payloads that are made here', () => {
    expect(Buffer.from(key.spki).toString('hex')).toBe(GOLDEN.spki)
    expect(key.id).toBe(GOLDEN.keyId)
    const sha256 = (schema: RecordSchema): string =>
      createHash('sha256')
        .update(recordPayload(schema, reference, GOLDEN.digest))
        .digest('hex')
    expect(recordPayload(1, reference, GOLDEN.digest)).toHaveLength(72)
    expect(sha256(1)).toBe('b101f51ac85508ffe1ae376185a6910a110fc24eb880d790d6717b7aebb4e4bb')
    expect(recordPayload(2, reference, GOLDEN.digest)).toHaveLength(113)
    expect(sha256(2)).toBe('2bbec61d6eeec4bd40c2fe3f69b0a54cf867aeb95ca4317b0edafd2ee8e2b21f')
  })

  it('verify in schema 2', async () => {
    const result = await verifyImage(await goldenStore(2), reference, key, { keyRef: 'k.pub' })
    expect(result).toEqual({
      ref: 'memory://my-bucket/org/app:v1.0',
      verified: true,
      digest: GOLDEN.digest,
      keyRef: 'k.pub',
      keyID: GOLDEN.keyId,
      signedAt: '2026-01-02T03:04:05Z',
      form: 'record',
      schemaVersion: 2,
      unauthenticated: { keyRef: 'cosign.key', signedAt: '2026-01-02T03:04:05Z' },
    })
  })

  it('verify in schema 1 only when that is allowed', async () => {
    const store = await goldenStore(1)
    const refused = await verifyImage(store, reference, key)
    expect(refused.verified).toBe(false)
    expect(refused.hint).toContain('--allow-schema-1')
    const accepted = await verifyImage(store, reference, key, { allowSchema1: true })
    expect(accepted).toMatchObject({ verified: true, schemaVersion: 1 })
  })
})

describe('a signed image', () => {
  it('has a record as the Go program writes it, and the result says where', async () => {
    const store = await storeWithImage()
    const signer = new LocalSigner(goldenKey())
    const now = (): Date => new Date('2026-01-02T03:04:05.678Z')
    const result = await signImage(store, reference, signer, { keyRef: 'cosign.key', now })
    const { content, descriptor } = await store.read(reference)
    expect(result).toMatchObject({
      ref: 'memory://my-bucket/org/app:v1.0',
      digest: descriptor.digest,
      keyID: GOLDEN.keyId,
      keyRef: 'cosign.key',
      signedAt: '2026-01-02T03:04:05Z',
      storedPath: `my-bucket/${recordKey}`,
    })
    expect(content.byteLength).toBe(descriptor.size)
    const record = await readJson(store, recordKey)
    expect(Object.keys(record)).toEqual([
      'schemaVersion',
      'digest',
      'keyRef',
      'keyID',
      'algorithm',
      'signature',
      'signedAt',
    ])
    expect(record).toMatchObject({ schemaVersion: 2, algorithm: 'ECDSA_SHA_256' })
  })

  it('has a payload in a record of schema 1', async () => {
    const store = await storeWithImage()
    const signer = new LocalSigner(goldenKey())
    const { digest } = await signImage(store, reference, signer, { schema: 1 })
    const record = await readJson(store, recordKey)
    expect(record['payload']).toBe(Buffer.from(`${digest}\n`).toString('base64'))
    const result = await verifyImage(store, reference, signer.publicKey, { allowSchema1: true })
    expect(result.verified).toBe(true)
  })

  it.each(Object.entries(keysOfEveryKind()))('verifies with a key of %s', async (_, privateKey) => {
    const store = await storeWithImage()
    const signer = new LocalSigner(privateKey)
    await signImage(store, reference, signer)
    const key = PublicKey.parse(signer.publicKey.toPem(), 'key')
    expect(await verifyImage(store, reference, key)).toMatchObject({ verified: true })
    expect(await verifyImage(store, reference, newSigner().publicKey)).toMatchObject({
      verified: false,
    })
  })

  it('verifies with every algorithm of a key, and with no other label', async () => {
    const signer = new LocalSigner(keysOfEveryKind()['RSA']!)
    for (const algorithm of signer.algorithms) {
      const store = await storeWithImage()
      const { descriptor } = await store.read(reference)
      const payload = recordPayload(2, reference, descriptor.digest)
      const record = {
        schemaVersion: 2 as const,
        digest: descriptor.digest,
        keyRef: '',
        keyID: signer.publicKey.id,
        algorithm,
        signature: await signer.sign(payload, algorithm),
        signedAt: '',
      }
      const at = `manifests/org/app/v1.0/signatures/${record.keyID}.json`
      for (const label of [...signer.algorithms, 'ECDSA_SHA_256' as const, 'UNKNOWN' as const]) {
        await store.backend.put(at, formatRecord({ ...record, algorithm: label }, payload))
        const { verified } = await verifyImage(store, reference, signer.publicKey)
        expect(verified, `${algorithm} as ${label}`).toBe(label === algorithm)
      }
    }
  })

  it('keeps the signature of the old key when it is signed again with a new one', async () => {
    const store = await storeWithImage()
    const [old, next] = [newSigner(), newSigner()]
    for (const signer of [old, next, next]) await signImage(store, reference, signer)
    for (const { publicKey } of [old, next]) {
      expect(await verifyImage(store, reference, publicKey)).toMatchObject({ verified: true })
      const options = { allowCosign: true, signedAfter: new Date(0) }
      expect(await verifyImage(store, reference, publicKey, options)).toMatchObject({
        verified: true,
      })
    }
    // Two bundles and two signatures for cosign 2, that of the new key once.
    expect(await referrersOf(store)).toHaveLength(4)
  })

  it.each(['sha256', 'sha512'] as const)(
    'is signed by its digest in %s, without a tag',
    async (algorithm) => {
      const store = await storeWithImage()
      const { tag: _, ...rest } = reference
      const digest = digestOf((await store.read(reference)).content, algorithm)
      const byDigest = { ...rest, digest }
      const signer = newSigner()
      const { storedPath } = await signImage(store, byDigest, signer)
      expect(storedPath).toContain(`/org/app/${digest}/signatures/`)
      const verify = (at: typeof reference, options = {}): ReturnType<typeof verifyImage> =>
        verifyImage(store, at, signer.publicKey, options)
      expect(await verify(byDigest)).toMatchObject({ verified: true, digest })
      const signedAfter = new Date(0)
      expect(await verify(byDigest, { signedAfter })).toMatchObject({ verified: true, digest })
      expect(await verify(reference)).toMatchObject({ verified: false })
    },
  )

  it.each(['sha256:' + 'A'.repeat(64), 'sha256:' + 'a'.repeat(40), 'md5:' + 'a'.repeat(32)])(
    'is not asked for by %s: that is no verdict',
    async (digest) => {
      const { tag: _, ...rest } = reference
      const verifying = verifyImage(
        await storeWithImage(),
        { ...rest, digest },
        newSigner().publicKey,
      )
      await expect(verifying).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    },
  )

  it('says when only the folder of a local store was written differently', async () => {
    const store = await storeWithImage()
    const signer = newSigner()
    await signImage(store, { ...reference, scheme: 'local', bucket: './store' }, signer)
    for (const bucket of ['store', `${process.cwd()}/store`]) {
      const other = { ...reference, scheme: 'local', bucket }
      const result = await verifyImage(store, other, signer.publicKey)
      expect(result.verified).toBe(false)
      expect(result.hint).toContain('local://./store/org/app:v1.0')
    }
  })
})

describe('a signature that was moved', () => {
  /** `app:v1` with a signature of each schema, and the same image elsewhere. */
  async function transplant(
    schema: RecordSchema,
    to: ReturnType<typeof referenceTo>,
  ): Promise<{ strict: boolean; schema1: boolean }> {
    const signer = newSigner()
    const store = await storeWithImage(reference)
    await signImage(store, reference, signer, { schema, forms: 'record' })
    const target = await storeWithImage(to)
    const file = `signatures/${signer.publicKey.id}.json`
    const record = await readBytes(store, `manifests/org/app/v1.0/${file}`)
    await target.backend.put(`manifests/${to.name}/${to.tag}/${file}`, record)
    const strict = await verifyImage(target, to, signer.publicKey)
    const loose = await verifyImage(target, to, signer.publicKey, { allowSchema1: true })
    return { strict: strict.verified, schema1: loose.verified }
  }

  it.each([
    ['tag', referenceTo('v1.1')],
    ['image', referenceTo('v1.0', 'org/other')],
    ['bucket', referenceTo('v1.0', 'org/app', 'other-bucket')],
  ])('to another %s does not verify; in schema 1 it would', async (_, to) => {
    expect(await transplant(2, to)).toEqual({ strict: false, schema1: false })
    expect(await transplant(1, to)).toEqual({ strict: false, schema1: true })
  })

  /** `app:v1.0` signed, then pushed anew and signed again; gives the first manifest and record. */
  async function twoReleases(): Promise<{
    store: ImageStore
    signer: LocalSigner
    oldManifest: Buffer
    oldRecord: Buffer
    record: string
  }> {
    const store = await storeWithImage()
    const signer = newSigner()
    const record = `manifests/org/app/v1.0/signatures/${signer.publicKey.id}.json`
    const at = (time: string): { now: () => Date } => ({ now: () => new Date(time) })
    await signImage(store, reference, signer, at('2026-01-01T00:00:00Z'))
    const oldManifest = await readBytes(store, 'manifests/org/app/v1.0/manifest.json')
    const oldRecord = await readBytes(store, record)
    await putImage(store.backend, reference, imageFixture({ layers: ['fixed'] }))
    await signImage(store, reference, signer, at('2026-02-01T00:00:00Z'))
    return { store, signer, oldManifest, oldRecord, record }
  }

  it('does not verify when the manifest is rolled back alone', async () => {
    const { store, signer, oldManifest } = await twoReleases()
    await store.backend.put('manifests/org/app/v1.0/manifest.json', oldManifest)
    const result = await verifyImage(store, reference, signer.publicKey)
    expect(result.verified).toBe(false)
    expect(result.reason).toContain('manifest changed')
  })

  it('verifies when manifest and record are rolled back together, unless the time is asked for', async () => {
    const { store, signer, oldManifest, oldRecord, record } = await twoReleases()
    const signedAfter = new Date('2026-01-15T00:00:00Z')
    const verify = (options = {}): ReturnType<typeof verifyImage> =>
      verifyImage(store, reference, signer.publicKey, options)
    expect(await verify({ signedAfter })).toMatchObject({
      verified: true,
      signedAt: '2026-02-01T00:00:00Z',
    })
    await store.backend.put('manifests/org/app/v1.0/manifest.json', oldManifest)
    await store.backend.put(record, oldRecord)
    expect(await verify()).toMatchObject({ verified: true })
    const refused = await verify({ signedAfter })
    expect(refused.verified).toBe(false)
    expect(refused.reason).toContain('2026-01-01T00:00:00Z')
    // The time in the record is not signed: a change of it changes nothing.
    const forged = oldRecord.toString().replace('2026-01-01', '2026-03-01')
    await store.backend.put(record, Buffer.from(forged))
    expect(await verify()).toMatchObject({ verified: true, signedAt: '2026-03-01T00:00:00Z' })
    expect(await verify({ signedAfter })).toMatchObject({ verified: false })
  })

  it("is not accepted with --signed-after by the time of another tag's signature", async () => {
    const store = await storeWithImage()
    const { root, content } = imageFixture({ layers: ['a layer'] })
    const other = referenceTo('v2')
    await putImage(store.backend, other, { root, content })
    const signer = newSigner()
    const now = (time: string): { now: () => Date } => ({ now: () => new Date(time) })
    await signImage(store, reference, signer, now('2026-01-01T00:00:00Z'))
    await signImage(store, other, signer, now('2026-02-01T00:00:00Z'))
    const signedAfter = new Date('2026-01-15T00:00:00Z')
    const { publicKey } = signer
    expect(await verifyImage(store, other, publicKey, { signedAfter })).toMatchObject({
      verified: true,
    })
    expect(await verifyImage(store, reference, publicKey, { signedAfter })).toMatchObject({
      verified: false,
    })
  })
})

describe('signatures that a person without the key adds', () => {
  it('neither make an old one newer nor take a new one away', async () => {
    const store = await storeWithImage()
    const signer = newSigner()
    const at = (time: string): { now: () => Date } => ({ now: () => new Date(time) })
    const verify = (time: string): ReturnType<typeof verifyImage> =>
      verifyImage(store, reference, signer.publicKey, { signedAfter: new Date(time) })
    await signImage(store, reference, newSigner(), at('2026-01-01T00:00:00Z'))
    await signImage(store, reference, signer, at('2026-02-01T00:00:00Z'))
    await signImage(store, reference, newSigner(), at('2026-03-01T00:00:00Z'))
    expect(await verify('2026-01-15T00:00:00Z')).toMatchObject({ verified: true })
    expect(await verify('2026-02-15T00:00:00Z')).toMatchObject({ verified: false })
  })
})

/** Attaches what a `.sig` tag had: foreign signatures, and behind them `own`. */
async function attachForeign(
  store: ImageStore,
  count: number,
  own: readonly Descriptor[] = [],
  certificate = '',
): Promise<void> {
  const payload = Buffer.from(`{"critical":{},"optional":{"n":"${randomUUID()}"}}`)
  const layers = Array.from({ length: count }, (_, i) => ({
    mediaType: SIMPLE_SIGNING_TYPE,
    digest: digestOf(payload),
    size: payload.byteLength,
    annotations: { 'dev.cosignproject.cosign/signature': btoa(`${i}`), certificate },
  }))
  const { document, config } = signatureManifest([...layers, ...own])
  const subject = await store.resolve(reference)
  const folded = foldSignatures(document, subject)!
  const place = { repository: reference.name, subject }
  await withPublication(store, { purpose: 'a test' }, (publication) =>
    publication.attach(folded, place, async ({ digest }) =>
      Readable.from([digest === digestOf(payload) ? payload : config]),
    ),
  )
}

describe('the manifest of many signatures', () => {
  it('is read where certificates make it large', async () => {
    const store = await storeWithImage()
    const signer = newSigner()
    const { storedPath, signature = '', bundle = '' } = await signImage(store, reference, signer)
    const record = `.s3lo/repositories/org/app/_manifests/${signature.replace(':', '-')}.json`
    const { layers } = await readJson(store, record)
    await attachForeign(store, 10, layers as Descriptor[], 'x'.repeat(10_000))
    const place = { repository: reference.name, subject: await store.resolve(reference) }
    for (const digest of [signature, bundle]) await store.begin().detach(place, digest)
    await store.backend.delete([storedPath.replace('my-bucket/', '')])
    const options = { allowCosign: true }
    expect(await verifyImage(store, reference, signer.publicKey, options)).toMatchObject({
      verified: true,
      form: 'simple-signing',
    })
  })

  it('counts with all that it has: no more than 200 are looked at', async () => {
    const store = await storeWithImage()
    for (let i = 0; i < 3; i++) await attachForeign(store, 150)
    const backend = new FaultyBackend(store.backend)
    const options = { allowCosign: true }
    const key = newSigner().publicKey
    expect(await verifyImage(new ImageStore(backend), reference, key, options)).toMatchObject({
      verified: false,
    })
    const read = backend.calls.filter(
      ({ method, key: of }) => method === 'get' && /s3lo\/blobs/.test(of),
    )
    expect(read).toHaveLength(201)
  })
})

describe('signatures of several writers', () => {
  it('are all kept when they sign at the same moment', async () => {
    const store = await storeWithImage()
    const signers = [newSigner(), newSigner(), newSigner()]
    await Promise.all(
      signers.map((signer) => signImage(new ImageStore(store.backend), reference, signer)),
    )
    expect(await referrersOf(store)).toHaveLength(2 * signers.length)
    for (const { publicKey } of signers) {
      expect(await verifyImage(store, reference, publicKey)).toMatchObject({ verified: true })
    }
  })

  it('leave a `.sig` tag of another program as it is, damaged or not', async () => {
    const store = await storeWithImage()
    const { digest } = await store.resolve(reference)
    const key = `manifests/org/app/${digest.replace(':', '-')}.sig/manifest.json`
    await store.backend.put(key, Buffer.from('{"schemaVersion":1}'))
    const signer = newSigner()
    await signImage(store, reference, signer)
    expect((await readBytes(store, key)).toString()).toBe('{"schemaVersion":1}')
    const options = { allowCosign: true }
    expect(await verifyImage(store, reference, signer.publicKey, options)).toMatchObject({
      verified: true,
    })
  })

  it('are no tags of the image, which programs that count tags would take for others', async () => {
    const store = await storeWithImage()
    const { signature, bundle } = await signImage(store, reference, newSigner())
    expect(await Array.fromAsync(store.tags(reference.name))).toEqual(['v1.0'])
    const digests = (await referrersOf(store)).map((each) => each.digest)
    expect(new Set(digests)).toEqual(new Set([signature, bundle]))
  })

  it('are of the image in one repository alone', async () => {
    const store = await storeWithImage()
    const other = referenceTo('v1.0', 'org/other')
    await putImage(store.backend, other, imageFixture({ layers: ['a layer'], label: '' }))
    const signer = newSigner()
    await signImage(store, reference, signer)
    const options = { allowCosign: true }
    expect(await verifyImage(store, reference, signer.publicKey, options)).toMatchObject({
      verified: true,
    })
    expect(await verifyImage(store, other, signer.publicKey, options)).toMatchObject({
      verified: false,
    })
  })

  it('are added to an image whose tags are immutable', async () => {
    const store = await storeWithImage()
    await store.backend.put('s3lo.yaml', Buffer.from('default:\n  immutable: true\n'))
    for (const signer of [newSigner(), newSigner()]) {
      await signImage(store, reference, signer)
      expect(await verifyImage(store, reference, signer.publicKey)).toMatchObject({
        verified: true,
      })
    }
  })
})

describe('a store that does not answer', () => {
  it.each(['manifest.json', 'signatures/', '.sig/', '/_referrers/'])(
    'for %s is a failure and no verdict',
    async (part) => {
      const store = await storeWithImage()
      const signer = newSigner()
      await signImage(store, reference, signer)
      const backend = new Proxy(store.backend, {
        get(target, name) {
          const method: unknown = Reflect.get(target, name, target)
          if (typeof method !== 'function') return method
          return (key: unknown, ...rest: unknown[]): unknown => {
            const isAsked = typeof key === 'string' && key.includes(part)
            if (isAsked) throw new S3loError('UNAVAILABLE', 'the store does not answer')
            return Reflect.apply(method, target, [key, ...rest])
          }
        },
      })
      const options = { allowCosign: true, signedAfter: new Date('2999-01-01') }
      const verifying = verifyImage(new ImageStore(backend), reference, signer.publicKey, options)
      await expect(verifying).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    },
  )
})
