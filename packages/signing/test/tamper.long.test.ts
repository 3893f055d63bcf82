import { isS3loError, type ImageStore } from '@s3lo/core'
import { describe, expect, it } from 'vitest'
import { LocalSigner, openPublicKey, type PublicKey, signImage, verifyImage } from '../src/index.ts'
import { encryptPrivateKey } from '../src/keys/key-file.ts'
import { goldenKey, keysOfEveryKind, readBytes, referenceTo, storeWithImage } from './world.ts'

const reference = referenceTo()
const MANIFEST = 'manifests/org/app/v1.0/manifest.json'
const recordOf = (digest: string): string =>
  `.s3lo/repositories/org/app/_manifests/${digest.replace(':', '-')}.json`

/** The members of a record that its signature, or the key, must bear out. */
const PROVEN = ['schemaVersion', 'digest', 'keyID', 'algorithm', 'signature'] as const

const EVERY_BIT = [0, 1, 2, 3, 4, 5, 6, 7]

/** The bits of every byte, every byte left out, every byte doubled, every end cut off. */
function* mutationsOf(original: Buffer, bits = EVERY_BIT): Generator<Buffer> {
  for (let i = 0; i < original.byteLength; i++) {
    for (const bit of bits) {
      const flipped = Buffer.from(original)
      flipped[i] = (flipped[i] ?? 0) ^ (1 << bit)
      yield flipped
    }
    yield Buffer.concat([original.subarray(0, i), original.subarray(i + 1)])
    yield Buffer.concat([original.subarray(0, i + 1), original.subarray(i)])
    yield original.subarray(0, i)
  }
}

function provenMembers(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    const record = JSON.parse(text) as Record<string, unknown>
    return JSON.stringify(PROVEN.map((member) => record[member]))
  } catch {
    return undefined // Not JSON: nothing of it may be believed.
  }
}

/** Verifies every mutation of an object; `mayPass` says which may be accepted. Returns how many there were. */
async function tamper(
  store: ImageStore,
  path: string,
  key: PublicKey,
  options: { allowSchema1?: boolean; allowCosign?: boolean },
  mayPass: (mutated: Buffer) => boolean,
  bits = EVERY_BIT,
): Promise<number> {
  const original = await readBytes(store, path)
  let count = 0
  for (const mutated of mutationsOf(original, bits)) {
    if (mutated.equals(original)) continue
    await store.backend.put(path, mutated)
    const result = await verifyImage(store, reference, key, options)
    count++
    if (result.verified) expect(mayPass(mutated), mutated.toString('latin1')).toBe(true)
    else expect(result.reason).toMatch(/./)
  }
  await store.backend.put(path, original)
  expect(await verifyImage(store, reference, key, options)).toMatchObject({ verified: true })
  return count
}

const never = (): boolean => false

describe('a byte that was changed', { timeout: 120_000 }, () => {
  it.each([
    ['P-256', 2, new LocalSigner(goldenKey())],
    ['P-256', 1, new LocalSigner(goldenKey())],
    ['Ed25519', 2, new LocalSigner(keysOfEveryKind()['Ed25519']!)],
  ] as const)('in a record of %s, schema %i, is noticed', async (_, schema, signer) => {
    const store = await storeWithImage()
    await signImage(store, reference, signer, { schema, keyRef: 'k', forms: 'record' })
    const path = `manifests/org/app/v1.0/signatures/${signer.publicKey.id}.json`
    const proven = provenMembers(await readBytes(store, path))
    const { publicKey } = signer
    const options = { allowSchema1: schema === 1 }
    const mayPass = (mutated: Buffer): boolean => provenMembers(mutated) === proven
    const count = await tamper(store, path, publicKey, options, mayPass)
    expect(count).toBeGreaterThan(2500)
  })

  it('in a manifest is noticed', async () => {
    const store = await storeWithImage()
    const signer = new LocalSigner(goldenKey())
    await signImage(store, reference, signer, { forms: 'record' })
    expect(await tamper(store, MANIFEST, signer.publicKey, {}, never)).toBeGreaterThan(3500)
    // With cosign's forms at hand as well, which are of the true content.
    await signImage(store, reference, signer)
    const options = { allowCosign: true, allowSchema1: true }
    expect(await tamper(store, MANIFEST, signer.publicKey, options, never)).toBeGreaterThan(3500)
  })

  it("in the objects of cosign's formats is noticed, or was never signed", async () => {
    const store = await storeWithImage()
    const signer = new LocalSigner(goldenKey())
    const result = await signImage(store, reference, signer)
    await store.backend.delete([result.storedPath.replace('my-bucket/', '')])
    const options = { allowCosign: true }
    // One of the two at a time.
    const [signature = '', bundle = ''] = [result.signature, result.bundle]
    const listed = (digest: string): string =>
      `.s3lo/repositories/org/app/_referrers/${result.digest.replace(':', '-')}/${digest.replace(':', '-')}.json`
    const bundleEntry = await readBytes(store, listed(bundle))
    await store.backend.delete([listed(bundle)])
    const layersOf = async (digest: string): Promise<readonly { digest: string }[]> => {
      const content = await readBytes(store, recordOf(digest))
      return (JSON.parse(content.toString()) as { layers: { digest: string }[] }).layers
    }
    const [payload] = await layersOf(signature)
    const content = `.s3lo/blobs/sha256/${payload!.digest.slice(7)}`
    expect(await tamper(store, content, signer.publicKey, options, never, [1])).toBeGreaterThan(900)
    const record = recordOf(signature)
    expect(await tamper(store, record, signer.publicKey, options, never, [1])).toBeGreaterThan(2000)
    // What lists it says nothing that is believed: where it is damaged, the manifest says the same.
    const listing = listed(signature)
    const any = (): boolean => true
    expect(await tamper(store, listing, signer.publicKey, options, any, [1])).toBeGreaterThan(900)

    await store.backend.delete([listing])
    await store.backend.put(listed(bundle), bundleEntry)
    const [layer] = await layersOf(bundle)
    const blob = `.s3lo/blobs/sha256/${layer!.digest.slice(7)}`
    expect(await tamper(store, blob, signer.publicKey, options, never, [1])).toBeGreaterThan(2000)
  })

  it('in a public key or a key file is a problem of the key, or another key', async () => {
    const store = await storeWithImage()
    const signer = new LocalSigner(goldenKey())
    await signImage(store, reference, signer, { forms: 'record' })
    const files = [signer.publicKey.toPem(), await encryptPrivateKey(goldenKey(), 'p', { n: 16 })]
    let count = 0
    for (const file of files) {
      for (const mutated of mutationsOf(Buffer.from(file))) {
        const env = { KEY: mutated.toString('latin1'), COSIGN_PASSWORD: 'p' }
        count++
        try {
          const key = await openPublicKey('env://KEY', { env })
          const { verified } = await verifyImage(store, reference, key)
          // What stands outside the frame, and a line end, are not part of the key.
          expect(verified).toBe(key.id === signer.publicKey.id)
        } catch (error) {
          expect(isS3loError(error) ? error.code : error).toMatch(
            /^(USAGE|UNSUPPORTED|UNAUTHORIZED)$/,
          )
        }
      }
    }
    expect(count).toBeGreaterThan(5000)
  })
})

describe('a record that no signer would write', () => {
  const signer = new LocalSigner(goldenKey())
  const path = `manifests/org/app/v1.0/signatures/${signer.publicKey.id}.json`

  it.each([
    ['is empty', ''],
    ['is not JSON', 'hello'],
    ['is not UTF-8', '{"schemaVersion":2,"digest":"\u00ff"}'],
    ['is a list', '[]'],
    ['is null', 'null'],
    ['is nested deeply', '['.repeat(100_000)],
    ['has no version', '{}'],
    ['has a version as a text', '{"schemaVersion":"2"}'],
    ['has another version', '{"schemaVersion":3}'],
    ['has members of other types', '{"schemaVersion":2,"digest":{},"signature":7,"algorithm":[]}'],
    ['is too large', ' '.repeat(300 * 1024)],
  ])('%s is not valid, and no failure', async (_, text) => {
    const store = await storeWithImage()
    await store.backend.put(path, Buffer.from(text, 'latin1'))
    const result = await verifyImage(store, reference, signer.publicKey)
    expect(result.verified).toBe(false)
    expect(result.reason).toMatch(/./)
  })

  it('has its signature in base64 of another kind is not valid', async () => {
    const store = await storeWithImage()
    await signImage(store, reference, signer, { forms: 'record' })
    const text = (await readBytes(store, path)).toString()
    const signature = /"signature":"([^"]+)"/.exec(text)?.[1] ?? ''
    for (const other of [
      ` ${signature}`,
      `${signature}\\n`,
      signature.replace(/=*$/, ''),
      `${signature}=`,
      `${signature.slice(0, 20)}\\n${signature.slice(20)}`,
      Buffer.from(signature, 'base64').toString('base64url'),
    ]) {
      if (other === signature) continue
      await store.backend.put(path, Buffer.from(text.replace(signature, other)))
      const result = await verifyImage(store, reference, signer.publicKey)
      expect(result.verified, other).toBe(false)
    }
  })
})
