import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHost, ImageStore, parseReference, signedRule } from '@s3lo/core'
import { imageFixture, indexFixture, MemoryBackend, putImage } from '@s3lo/core/testing'
import { LocalSigner, PublicKey, signImage } from '@s3lo/signing'
import signing from '@s3lo/signing/plugin'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serveStore } from './served-store.ts'

const image = imageFixture({ layers: ['layer'] })
const index = indexFixture({ 'linux/amd64': image })
const backend = new MemoryBackend({ bucket: 'b' })
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-verify-'))
  await writeFile(join(folder, 'cosign.pub'), new PublicKey(privateKey).toPem())
  for (const tag of ['v1', 'prod']) await putImage(backend, { name: 'app', tag }, index)
  await putImage(backend, { name: 'app', tag: 'other' }, imageFixture({ layers: ['other'] }))
})
afterAll(() => rm(folder, { recursive: true }))

it('replicas that share nothing answer what a key signed, by what s3lo sign writes', async () => {
  const store = new ImageStore(backend)
  await signImage(store, parseReference('memory://b/app:v1'), new LocalSigner(privateKey))
  const tools = createHost({ plugins: [signing], env: {} }).validationTools()
  const rules = [signedRule(join(folder, 'cosign.pub'))]
  await using served = await serveStore(() => Promise.resolve(backend), {
    replicas: 3,
    readOnly: true,
    verification: { rules, tools },
  })
  const status = async (path: string): Promise<number> =>
    (await fetch(`http://${served.address}/v2/app/${path}`)).status
  const child = image.root.descriptor.digest
  const config = [...image.content.keys()][0] ?? ''
  for (const path of ['manifests/v1', `manifests/${child}`, `blobs/${config}`]) {
    for (let replica = 0; replica < 3; replica++) expect(await status(path)).toBe(200)
  }
  for (const path of ['manifests/prod', 'manifests/other']) expect(await status(path)).toBe(403)
})
