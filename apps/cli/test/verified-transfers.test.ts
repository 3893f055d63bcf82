import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import localPlugin from '@s3lo/backend-local/plugin'
import { createHost, type Host, type ImageStore, parseExplicitReference } from '@s3lo/core'
import { imageFixture, putImage } from '@s3lo/core/testing'
import { definePlugin } from '@s3lo/core/plugin'
import { LocalSigner, signImage, verifyImage } from '@s3lo/signing'
import signingPlugin from '@s3lo/signing/plugin'
import dockerPlugin from '@s3lo/source-docker/plugin'
import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const newSigner = (): LocalSigner =>
  new LocalSigner(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey)

const signer = newSigner()
const first = imageFixture({ layers: ['first'], platform: 'linux/amd64' })
const second = imageFixture({ layers: ['second'], platform: 'linux/amd64' })
const platform = 'linux/amd64'

let folder: string
let host: Host
let store: ImageStore

const env = { PUB: signer.publicKey.toPem(), OTHER: newSigner().publicKey.toPem() }
const verifyKey = 'env://PUB'
const app = (): string => `local://${folder}/store//app:v1`
const elsewhere = (name = 'target'): string => `local://${folder}/${name}//app:v1`

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-verified-'))
  host = createHost({ plugins: [localPlugin, signingPlugin, dockerPlugin], env })
  store = await host.openStore(app(), { names: 'image' })
  await putImage(store.backend, { name: 'app', tag: 'v1' }, first)
  await signImage(store, parseExplicitReference(app()), signer)
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

async function digestAt(reference: string): Promise<string> {
  return (await host.inspect(reference)).digest
}

/** A host whose key is asked for only after the tag was moved. */
function hostThatMoves(): Host {
  const signed = signingPlugin.policyChecks['signed']
  const moving = definePlugin({
    name: 'moving',
    apiVersion: 1,
    policyChecks: {
      signed: {
        summary: 'signed',
        load: async () => {
          const module = await signed.load()
          return {
            ...module,
            checkPolicy: async (...args) => {
              await putImage(store.backend, { name: 'app', tag: 'v1' }, second)
              return module.checkPolicy(...args)
            },
          }
        },
      },
    },
  })
  return createHost({ plugins: [localPlugin, moving, dockerPlugin], env })
}

describe('with --verify-key', () => {
  it('a copy and a pull move what the key signed, and name it', async () => {
    const { digest } = first.root.descriptor
    const copied = await host.copy(app(), elsewhere(), { verifyKey })
    expect(copied).toMatchObject({ digest, verified_digest: digest })
    const pulled = await host.pull(app(), `oci:${folder}/layout:v1`, { verifyKey, platform })
    expect(pulled).toMatchObject({ digest, verified_digest: digest })
  })

  it('nothing is moved that the key did not sign', async () => {
    const refused = { code: 'FORBIDDEN', contentFault: true }
    const other = 'env://OTHER'
    await expect(host.copy(app(), elsewhere(), { verifyKey: other })).rejects.toMatchObject(refused)
    const layout = `oci:${folder}/layout:v1`
    const options = { verifyKey: other, platform }
    await expect(host.pull(app(), layout, options)).rejects.toMatchObject(refused)
    expect(await readdir(folder)).toEqual(['store'])
  })

  it('what was verified is moved, although the tag was moved meanwhile', async () => {
    const { digest } = first.root.descriptor
    const copied = await hostThatMoves().copy(app(), elsewhere(), { verifyKey })
    expect(await digestAt(app())).toBe(second.root.descriptor.digest)
    expect(copied.verified_digest).toBe(digest)
    expect(await digestAt(elsewhere())).toBe(digest)
  })

  it('what was verified is pulled, although the tag was moved meanwhile', async () => {
    const layout = `oci:${folder}/layout:v1`
    const pulled = await hostThatMoves().pull(app(), layout, { verifyKey, platform })
    expect(pulled.verified_digest).toBe(first.root.descriptor.digest)
    await host.copy(layout, elsewhere())
    expect(await digestAt(elsewhere())).toBe(first.root.descriptor.digest)
  })

  it('a layout is verified by the signatures of cosign in it', async () => {
    const layout = `oci:${folder}/layout:v1`
    await host.copy(app(), layout)
    expect(await host.copy(layout, elsewhere('good'), { verifyKey })).toMatchObject({
      verified_digest: first.root.descriptor.digest,
    })
    const options = { verifyKey: 'env://OTHER' }
    await expect(host.copy(layout, elsewhere('bad'), options)).rejects.toMatchObject({
      code: 'FORBIDDEN',
    })
  })

  it('of several tags those are copied that the key signed', async () => {
    await putImage(store.backend, { name: 'app', tag: 'v0' }, second)
    const [from, to] = [`local://${folder}/store//app:v*`, `local://${folder}/target//app`]
    for (const action of ['copy', 'unchanged']) {
      const { tags } = await host.copyTags(from, to, { verifyKey })
      expect(tags).toMatchObject([
        { tag: 'v0', action: 'failed', error: { code: 'FORBIDDEN' } },
        { tag: 'v1', action, copied: { verified_digest: first.root.descriptor.digest } },
      ])
    }
  })

  it('tags that are there already are verified as well', async () => {
    await host.copy(app(), elsewhere())
    const [from, to] = [`local://${folder}/store//app:v*`, `local://${folder}/target//app`]
    const { tags } = await host.copyTags(from, to, { verifyKey: 'env://OTHER' })
    expect(tags).toMatchObject([{ tag: 'v1', action: 'failed', error: { code: 'FORBIDDEN' } }])
  })

  it('options that say which signatures count need a key', async () => {
    for (const options of [{ allowCosign: true }, { allowSchema1: true }]) {
      await expect(host.copy(app(), elsewhere(), options)).rejects.toMatchObject({ code: 'USAGE' })
    }
  })
})

describe('an immutable image', () => {
  it('keeps its signatures when another layout brings one of another key', async () => {
    await store.backend.put('s3lo.yaml', Buffer.from('default: {immutable: true}\n'))
    const subject = first.root.descriptor
    const before = await Array.fromAsync(store.referrers('app', subject))
    const forged = await host.openStore(elsewhere(), { names: 'image' })
    await putImage(forged.backend, { name: 'app', tag: 'v1' }, first)
    await signImage(forged, parseExplicitReference(elsewhere()), newSigner())
    const layout = `oci:${folder}/layout:v1`
    await host.copy(elsewhere(), layout)
    await host.copy(layout, `local://${folder}/store//app:v2`)
    const after = await Array.fromAsync(store.referrers('app', subject))
    expect(before).not.toEqual([])
    expect(after.map(({ digest }) => digest)).toEqual(
      expect.arrayContaining(before.map(({ digest }) => digest)),
    )
    const reference = parseExplicitReference(app())
    expect(await verifyImage(store, reference, signer.publicKey)).toMatchObject({ verified: true })
  })
})

describe.runIf(process.platform !== 'win32')('a signature record that is', () => {
  const path = (...names: string[]): string =>
    join(folder, 'store', 'manifests', 'app', 'v1', ...names)
  const record = (): string => path('signatures', `${signer.publicKey.id}.json`)

  async function verdict(): Promise<unknown> {
    const options = { allowCosign: false }
    const { verified } = await verifyImage(
      store,
      parseExplicitReference(app()),
      signer.publicKey,
      options,
    )
    return verified
  }

  it('whole verifies', async () => {
    expect(await verdict()).toBe(true)
  })

  it.each<[string, () => Promise<void>]>([
    [
      'a link out of the store',
      async () => {
        await rename(record(), join(folder, 'outside.json'))
        await symlink(join(folder, 'outside.json'), record())
      },
    ],
    [
      'a link to itself',
      async () => {
        await rm(record())
        await symlink(record(), record())
      },
    ],
    [
      'in a folder that is a link out of the store',
      async () => {
        await rename(path('signatures'), join(folder, 'outside'))
        await symlink(join(folder, 'outside'), path('signatures'))
      },
    ],
    [
      'in a folder that is a link to itself',
      async () => {
        await rm(path('signatures'), { recursive: true })
        await symlink(path('signatures'), path('signatures'))
      },
    ],
    [
      'a folder',
      async () => {
        await rm(record())
        await mkdir(record())
      },
    ],
    [
      'a record of another tag',
      async () => {
        await mkdir(join(folder, 'store', 'manifests', 'app', 'v2', 'signatures'), {
          recursive: true,
        })
        const other = parseExplicitReference(`local://${folder}/store//app:v2`)
        await link(path('manifest.json'), join(path(), '..', 'v2', 'manifest.json'))
        await signImage(store, other, signer)
        await rm(record())
        await symlink(
          join(path(), '..', 'v2', 'signatures', `${signer.publicKey.id}.json`),
          record(),
        )
      },
    ],
    [
      'one with a member twice',
      async () => {
        const text = await readFile(record(), 'utf8')
        await writeFile(record(), text.replace('{', '{"schemaVersion":2,'))
      },
    ],
    [
      'one with a member that differs by case',
      async () => {
        const text = await readFile(record(), 'utf8')
        await writeFile(record(), text.replace('{', '{"Digest":"x",'))
      },
    ],
    [
      'beside a manifest that is a link out of the store',
      async () => {
        await rename(path('manifest.json'), join(folder, 'outside.json'))
        await symlink(join(folder, 'outside.json'), path('manifest.json'))
      },
    ],
  ])('%s does not verify, and is no failure', async (_, spoil) => {
    await spoil()
    expect(await verdict()).toBe(false)
  })
})
