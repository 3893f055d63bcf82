import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { ImageStore, type StoreReference } from '@s3lo/core'
import { imageFixture, MemoryBackend, putImage } from '@s3lo/core/testing'
import { LocalSigner } from '../src/index.ts'

/** The test key of RFC 6979, A.2.5. */
export function goldenKey(): KeyObject {
  const spki = Buffer.from(GOLDEN.spki, 'hex')
  const d = Buffer.from('C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721', 'hex')
  const key = {
    kty: 'EC',
    crv: 'P-256',
    d: d.toString('base64url'),
    x: spki.subarray(-64, -32).toString('base64url'),
    y: spki.subarray(-32).toString('base64url'),
  }
  return createPrivateKey({ key, format: 'jwk' })
}

/**
 * Records as the Go program writes them (docs/go-compatibility.md, signature records), of the key of
 * RFC 6979, A.2.5.
 */
export const GOLDEN = {
  spki:
    '3059301306072a8648ce3d020106082a8648ce3d0301070342000460fed4ba255a9d31c961eb74c6356d68c049b8923b' +
    '61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
  keyId: '5a7a78cca4a0f420',
  manifest:
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}',
  digest: 'sha256:b0ff67b72a1d087090ad4fe635c35ad2752dd27d26f9435bb7877f40ecdc0bc3',
  signature1:
    'MEYCIQDcQdr7u/fjyw4068kIzn4NdwIHRDiPaQ1WGAqMU4oxFAIhAMYbDLFHD7GAgqSIrO2ZVytg+QyNvSCsnQqQYpsL3Xf+',
  signature2:
    'MEUCIQDBGqhPRcPANW5YWZnTUIjN9hhjmQ2vXi45/OjwhXB3FQIgO7r5L/2GwOVK05xq2DROFqjek47LjrfWiHZp7D4Dv+0=',
} as const

export function referenceTo(tag = 'v1.0', name = 'org/app', bucket = 'my-bucket'): StoreReference {
  return { scheme: 'memory', bucket, name, tag }
}

/** The keys of every kind that sign. */
export function keysOfEveryKind(): Readonly<Record<string, KeyObject>> {
  const ec = (namedCurve: string): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey
  return {
    'ECDSA P-256': ec('prime256v1'),
    'ECDSA P-384': ec('secp384r1'),
    'ECDSA P-521': ec('secp521r1'),
    RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    'RSA-PSS': pssKey(),
    Ed25519: generateKeyPairSync('ed25519').privateKey,
  }
}

/** A key that may do nothing but PSS with SHA-256. */
function pssKey(): KeyObject {
  const { privateKey } = generateKeyPairSync('rsa-pss', {
    modulusLength: 2048,
    hashAlgorithm: 'sha256',
    mgf1HashAlgorithm: 'sha256',
  })
  return privateKey
}

export function newSigner(): LocalSigner {
  return new LocalSigner(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey)
}

/** A store with one image. */
export async function storeWithImage(reference = referenceTo(), label = ''): Promise<ImageStore> {
  const backend = new MemoryBackend({ bucket: reference.bucket })
  await putImage(backend, reference, imageFixture({ layers: ['a layer'], label }))
  return new ImageStore(backend)
}

export async function readBytes(store: ImageStore, key: string): Promise<Buffer> {
  const { body } = await store.backend.get(key)
  const chunks: Uint8Array[] = []
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function readJson(store: ImageStore, key: string): Promise<Record<string, unknown>> {
  const value: unknown = JSON.parse((await readBytes(store, key)).toString('utf8'))
  return value as Record<string, unknown>
}
