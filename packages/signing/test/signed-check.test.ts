import { imageFixture, putImage } from '@s3lo/core/testing'
import type { PolicyVerdict } from '@s3lo/core/plugin'
import { describe, expect, it } from 'vitest'
import { signImage } from '../src/index.ts'
import { checkPolicy } from '../src/signed-check.ts'
import { newSigner, referenceTo, storeWithImage } from './world.ts'

const reference = referenceTo()

describe('the policy check `signed`', () => {
  const signer = newSigner()
  const env = { PUB: signer.publicKey.toPem() }
  const rule = { name: 'ours', check: 'signed', keyRef: 'env://PUB' }

  async function check(
    store: Awaited<ReturnType<typeof storeWithImage>>,
    parameters: Readonly<Record<string, string>> = {},
    root = store.read(reference),
  ): Promise<PolicyVerdict> {
    const subject = {
      name: 'memory://my-bucket/org/app:v1.0',
      reference,
      root: await root,
      source: store,
      publishedAt: undefined,
    }
    return checkPolicy({ ...rule, parameters }, subject, { env, now: new Date(), settings: {} })
  }

  it('passes for an image that the key signed, and says why it fails for another', async () => {
    const store = await storeWithImage()
    const { passed, message } = await check(store)
    expect({ passed, message }).toEqual({ passed: false, message: expect.any(String) })
    await signImage(store, reference, signer)
    expect(await check(store)).toEqual({ passed: true })
  })

  it('judges the manifest that is asked about, not the one that the tag has now', async () => {
    const store = await storeWithImage()
    await signImage(store, reference, signer)
    const next = imageFixture({ layers: ['next'] })
    expect(await check(store, {}, Promise.resolve(next.root))).toMatchObject({ passed: false })
    const signed = store.read(reference)
    await signed
    await putImage(store.backend, reference, next)
    expect(await check(store, {}, signed)).toEqual({ passed: true })
  })

  it('accepts schema 1 and the formats of cosign when it is told to', async () => {
    const store = await storeWithImage()
    const { storedPath } = await signImage(store, reference, signer, { schema: 1 })
    expect(await check(store)).toMatchObject({ passed: false })
    expect(await check(store, { allow_schema_1: 'true' })).toEqual({ passed: true })
    await store.backend.delete([storedPath.replace('my-bucket/', '')])
    expect(await check(store, { allow_schema_1: 'true' })).toMatchObject({ passed: false })
    expect(await check(store, { allow_cosign: 'true' })).toEqual({ passed: true })
  })

  it('has no answer without a key or with a parameter that makes no sense', async () => {
    const store = await storeWithImage()
    await expect(check(store, { allow_cosign: 'yes' })).rejects.toMatchObject({ code: 'USAGE' })
    const { keyRef: _, ...keyless } = rule
    const subject = {
      name: 'memory://my-bucket/org/app:v1.0',
      reference,
      root: await store.read(reference),
      source: store,
      publishedAt: undefined,
    }
    const options = { env, now: new Date(), settings: {} }
    await expect(checkPolicy(keyless, subject, options)).rejects.toMatchObject({ code: 'USAGE' })
  })
})
