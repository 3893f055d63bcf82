/**
 * Signatures between this program and the real cosign, 2.5 and 3.1 (integration/start-cosign.sh),
 * over a real registry (integration/start-registry.sh).
 */
import { execFile } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBackend } from '@s3lo/backend-local'
import { imageFixture, indexFixture, putImage } from '@s3lo/core/testing'
import { encryptPrivateKey, PublicKey } from '@s3lo/signing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SIGNING_CONFIG } from './cosign-offline.ts'
import { inherited } from './inherited.ts'
import { requiredCosign, requiredServer } from './required.ts'
import { serveStore } from './served-store.ts'

const MAIN = join(import.meta.dirname, '../apps/cli/src/main.ts')

const cosign = requiredCosign()
const registry = requiredServer('registry', 'start-registry.sh', ['S3LO_TEST_REGISTRY_OPEN'])
if (cosign && registry) {
  testWith(cosign, registry.S3LO_TEST_REGISTRY_OPEN)
} else it.skip('cosign or the registry is not there', () => {})

interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

type Major = 2 | 3

function testWith(programs: Readonly<Record<Major, string>>, host: string): void {
  let work: string
  let env: NodeJS.ProcessEnv

  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), 's3lo-cosign-'))
    env = { ...inherited(), HOME: work, DOCKER_CONFIG: work, COSIGN_PASSWORD: 'a password' }
    await writeFile(join(work, 'no-log.json'), JSON.stringify(SIGNING_CONFIG))
  })
  afterAll(() => rm(work, { recursive: true, force: true }))

  function run(program: string, args: readonly string[], cwd = work): Promise<Outcome> {
    return new Promise((resolve) => {
      execFile(program, [...args], { cwd, env, timeout: 60_000 }, (error, stdout, stderr) => {
        const status = typeof error?.code === 'number' ? error.code : error ? -1 : 0
        resolve({ status, stdout, stderr })
      })
    })
  }

  async function s3lo(...args: string[]): Promise<Outcome> {
    return run(process.execPath, ['--conditions=s3lo-source', MAIN, ...args])
  }

  async function succeed(outcome: Promise<Outcome>): Promise<Outcome> {
    const done = await outcome
    expect(done.status, done.stderr).toBe(0)
    return done
  }

  /** An image of its own in a store of its own, and where it will be in the registry. */
  async function newImage(): Promise<{
    folder: string
    store: string
    remote: string
    digest: string
  }> {
    const name = randomUUID()
    const folder = join(work, name)
    const single = imageFixture({ layers: [`layer of ${name}`] })
    const image = indexFixture({ 'linux/amd64': single }, { attestations: true })
    const backend = await openBackend({ scheme: 'local', bucket: folder }, { env: {} })
    await putImage(backend, { name: 'team/app', tag: 'v1' }, image)
    const { digest } = image.root.descriptor
    const store = `local://${folder}//team/app:v1`
    return { folder, store, remote: `${host}/cosign/${name}:v1`, digest }
  }

  /** The two files of a key that was made elsewhere. */
  async function importKey(name: string, key: KeyObject): Promise<{ key: string; pub: string }> {
    const path = join(work, `imported-${name}`)
    await writeFile(`${path}.key`, await encryptPrivateKey(key, 'a password'))
    await writeFile(`${path}.pub`, new PublicKey(key).toPem())
    return { key: `${path}.key`, pub: `${path}.pub` }
  }

  async function newKeyPair(name: string): Promise<{ key: string; pub: string }> {
    const prefix = join(work, name)
    await succeed(s3lo('generate-key-pair', '--output-key-prefix', prefix))
    return { key: `${prefix}.key`, pub: `${prefix}.pub` }
  }

  function cosignVerify(major: Major, remote: string, pub: string): Promise<Outcome> {
    const ours = ['--key', pub, '--insecure-ignore-tlog', '--allow-insecure-registry']
    const two = ['--private-infrastructure']
    return run(programs[major], ['verify', ...ours, ...(major === 2 ? two : []), remote])
  }

  function cosignSign(major: Major, remote: string, key: string): Promise<Outcome> {
    const ours = ['sign', '--yes', '--key', key, '--allow-insecure-registry']
    const offline =
      major === 2 ? ['--tlog-upload=false'] : ['--signing-config', join(work, 'no-log.json')]
    return run(programs[major], [...ours, ...offline, remote])
  }

  describe('what s3lo signs and copies to a registry', () => {
    const ec = (namedCurve: string): KeyObject =>
      generateKeyPairSync('ec', { namedCurve }).privateKey
    it.each([
      ['P-256', ec('prime256v1')],
      ['P-384', ec('secp384r1')],
      ['P-521', ec('secp521r1')],
      ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
      ['Ed25519', generateKeyPairSync('ed25519').privateKey],
    ])('verifies in cosign 2 and 3 with a key of %s', async (name, privateKey) => {
      const { key, pub } = await importKey(`key-${name}`, privateKey)
      const { store, remote, digest } = await newImage()
      await succeed(s3lo('sign', store, '--key', key))
      await succeed(s3lo('verify', store, '--key', pub))
      expect((await succeed(s3lo('list', store.replace(/\/\/team.*/, '/')))).stdout).not.toMatch(
        /sha256/,
      )
      await succeed(s3lo('copy', store, `docker://${remote}`, '--plain-http'))
      for (const major of [2, 3] as const) {
        const { stdout } = await succeed(cosignVerify(major, remote, pub))
        expect(stdout).toContain(digest)
      }
      const other = await newKeyPair(`other-${name}`)
      for (const major of [2, 3] as const) {
        expect((await cosignVerify(major, remote, other.pub)).status).not.toBe(0)
      }
    })

    it('verifies in cosign with each of two keys', async () => {
      const keys = [await newKeyPair('first'), await newKeyPair('second')]
      const { store, remote } = await newImage()
      for (const { key } of keys) await succeed(s3lo('sign', store, '--key', key))
      await succeed(s3lo('copy', store, `docker://${remote}`, '--plain-http'))
      for (const { pub } of keys) {
        for (const major of [2, 3] as const) await succeed(cosignVerify(major, remote, pub))
      }
    })

    it.each([1, 2])('verifies in cosign through serve, with %i keys', async (count) => {
      const { folder, store, digest } = await newImage()
      const keys = []
      for (let i = 0; i < count; i++) keys.push(await newKeyPair(`served-${count}-${i}`))
      for (const { key } of keys) await succeed(s3lo('sign', store, '--key', key))
      const place = { scheme: 'local', bucket: folder }
      await using served = await serveStore(() => openBackend(place, { env: {} }))
      for (const { pub } of keys) {
        for (const major of [2, 3] as const) {
          const { stdout } = await succeed(
            cosignVerify(major, `${served.address}/team/app:v1`, pub),
          )
          expect(stdout).toContain(digest)
        }
      }
    })

    it('has a record whose signature OpenSSL verifies', async () => {
      const { key, pub } = await newKeyPair('openssl')
      const { store, digest } = await newImage()
      const { stdout } = await succeed(s3lo('sign', store, '--key', key, '-o', 'json'))
      const { storedPath } = JSON.parse(stdout) as { storedPath: string }
      const record = JSON.parse(await readFile(storedPath, 'utf8')) as { signature: string }
      const bucket = storedPath.slice(0, storedPath.indexOf('/manifests/'))
      await writeFile(
        join(work, 'payload'),
        `s3lo-signature-v2\n${bucket}/team/app:v1\n${digest}\n`,
      )
      await writeFile(join(work, 'signature'), Buffer.from(record.signature, 'base64'))
      const args = ['dgst', '-sha256', '-verify', pub, '-signature', 'signature', 'payload']
      expect((await succeed(run('openssl', args))).stdout).toContain('Verified OK')
    })
  })

  describe.each([2, 3] as const)('what cosign %i signs in a registry', (major) => {
    it('verifies in s3lo after it was copied to a store', async () => {
      const { key, pub } = await newKeyPair(`pair-of-${major}`)
      const { store, remote } = await newImage()
      await succeed(s3lo('copy', store, `docker://${remote}`, '--plain-http'))
      await succeed(cosignSign(major, remote, key))
      const back = `local://${join(work, `back-${major}`)}//app:v1`
      await succeed(s3lo('copy', `docker://${remote}`, back, '--plain-http'))
      const refused = await s3lo('verify', back, '--key', pub)
      expect(refused.status).toBe(1)
      expect(refused.stderr).toContain('--allow-cosign')
      const args = ['verify', back, '--key', pub, '--allow-cosign', '-o', 'json']
      const { stdout } = await succeed(s3lo(...args))
      expect(JSON.parse(stdout)).toMatchObject({
        verified: true,
        form: major === 2 ? 'simple-signing' : 'bundle',
      })
      const other = await newKeyPair(`other-than-${major}`)
      expect((await s3lo('verify', back, '--key', other.pub, '--allow-cosign')).status).toBe(1)
    })

    it('stays when s3lo signs as well', async () => {
      const [theirs, ours] = [
        await newKeyPair(`theirs-${major}`),
        await newKeyPair(`ours-${major}`),
      ]
      const { store, remote } = await newImage()
      await succeed(s3lo('copy', store, `docker://${remote}`, '--plain-http'))
      await succeed(cosignSign(major, remote, theirs.key))
      const back = `local://${join(work, `both-${major}`)}//app:v1`
      await succeed(s3lo('copy', `docker://${remote}`, back, '--plain-http'))
      await succeed(s3lo('sign', back, '--key', ours.key))
      for (const { pub } of [theirs, ours]) {
        await succeed(s3lo('verify', back, '--key', pub, '--allow-cosign'))
      }
      await succeed(s3lo('copy', back, `docker://${remote}-both`, '--plain-http'))
      for (const { pub } of [theirs, ours]) {
        await succeed(cosignVerify(major, `${remote}-both`, pub))
      }
    })

    it('is signed with the key pair of s3lo, and s3lo signs with that of cosign', async () => {
      const folder = join(work, `generated-${major}`)
      await mkdir(folder)
      await succeed(run(programs[major], ['generate-key-pair'], folder))
      const { store } = await newImage()
      await succeed(s3lo('sign', store, '--key', join(folder, 'cosign.key')))
      await succeed(s3lo('verify', store, '--key', join(folder, 'cosign.pub')))
    })

    it('is no signature when it is an attestation', async () => {
      const { key, pub } = await newKeyPair(`attest-${major}`)
      const { store, remote } = await newImage()
      await succeed(s3lo('copy', store, `docker://${remote}`, '--plain-http'))
      await writeFile(join(work, 'predicate.json'), '{"a":1}')
      const offline =
        major === 2 ? ['--tlog-upload=false'] : ['--signing-config', join(work, 'no-log.json')]
      const args = ['attest', '--yes', '--key', key, '--allow-insecure-registry', ...offline]
      const about = ['--predicate', 'predicate.json', '--type', 'custom', remote]
      await succeed(run(programs[major], [...args, ...about]))
      const back = `local://${join(work, `attested-${major}`)}//app:v1`
      await succeed(s3lo('copy', `docker://${remote}`, back, '--plain-http'))
      expect((await s3lo('verify', back, '--key', pub, '--allow-cosign')).status).toBe(1)
    })
  })
}
