/** A store as an open registry, before clients that others wrote (integration/clients.sh). */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openBackend } from '@s3lo/backend-local'
import local from '@s3lo/backend-local/plugin'
import { createHost } from '@s3lo/core'
import { imageFixture, indexFixture } from '@s3lo/core/testing'
import docker from '@s3lo/source-docker/plugin'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeBigArchive } from './big-archive.ts'
import { writeOciLayout } from './oci-layout.ts'
import { requiredClients, requiredService } from './required.ts'
import { type ServedStore, serveStore } from './served-store.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024

const work = await mkdtemp(join(tmpdir(), 's3lo-serve-'))
afterAll(() => rm(work, { recursive: true, force: true }))

const clients = requiredClients()
const describeClients = clients === undefined ? describe.skip : describe
describeClients('other clients', () => {
  const image = indexFixture({
    'linux/amd64': imageFixture({ layers: [Buffer.alloc(3 * MIB, 'amd64 '), 'small'] }),
    'linux/arm64': imageFixture({ layers: ['other', 'small'], platform: 'linux/arm64' }),
  })
  const { digest } = image.root.descriptor

  let served: ServedStore
  let app: string
  beforeAll(async () => {
    const bucket = join(work, 'clients')
    await mkdir(bucket)
    served = await serveStore(() => openBackend({ scheme: 'local', bucket }, { env: {} }))
    app = `${served.address}/team/app`
    await writeOciLayout(join(work, 'layout'), 'v1', image)
  })
  afterAll(() => served[Symbol.asyncDispose]())

  async function client(
    name: 'skopeo' | 'crane' | 'oras',
    ...args: readonly string[]
  ): Promise<string> {
    const home = { PATH: process.env['PATH'], HOME: work, XDG_RUNTIME_DIR: work }
    const options = { cwd: work, env: home, maxBuffer: 16 * MIB }
    return (await run(clients?.[name] ?? '', args, options)).stdout
  }

  const SKOPEO = ['--insecure-policy', 'copy', '--all', '--preserve-digests']

  it('skopeo pushes an index and pulls it, byte for byte', async () => {
    await client(
      'skopeo',
      ...SKOPEO,
      '--dest-tls-verify=false',
      'oci:layout:v1',
      `docker://${app}:v1`,
    )
    const out = 'oci:skopeo-out:v1'
    await client('skopeo', ...SKOPEO, '--src-tls-verify=false', `docker://${app}:v1`, out)
    const index = await readFile(join(work, 'skopeo-out/index.json'), 'utf8')
    expect(index).toContain(digest)
    for (const [named, bytes] of image.content) {
      const file = join(work, 'skopeo-out/blobs', named.replace(':', '/'))
      expect((await readFile(file)).equals(bytes)).toBe(true)
    }
    const tags = await client('skopeo', 'list-tags', '--tls-verify=false', `docker://${app}`)
    expect(JSON.parse(tags)).toMatchObject({ Tags: ['v1'] })
  })

  it('crane mounts, moves and deletes', async () => {
    const copy = `${served.address}/team/copy`
    await client('crane', 'copy', '--insecure', `${app}:v1`, `${copy}:v1`)
    expect((await client('crane', 'digest', '--insecure', `${copy}:v1`)).trim()).toBe(digest)
    await client('crane', 'tag', '--insecure', `${copy}:v1`, 'v2')
    const append = ['append', '--insecure', '-f', 'layer.tar', '-b', `${copy}:v2`]
    await writeFile(join(work, 'layer.tar'), Buffer.alloc(1024))
    await client('crane', ...append, '--platform', 'linux/amd64', '-t', `${copy}:v1`)
    expect((await client('crane', 'digest', '--insecure', `${copy}:v1`)).trim()).not.toBe(digest)
    expect((await client('crane', 'ls', '--insecure', copy)).split('\n')).toEqual(['v1', 'v2', ''])
    await client('crane', 'delete', '--insecure', `${copy}:v2`)
    expect((await client('crane', 'ls', '--insecure', copy)).trim()).toBe('v1')
    // The digest that no tag names any more.
    const moved = await client('crane', 'manifest', '--insecure', `${copy}@${digest}`)
    expect(moved).toBe(Buffer.from(image.root.content).toString())
    expect(await client('crane', 'catalog', '--insecure', served.address)).toContain('team/copy\n')
  })

  it('oras pushes an artifact, attaches to an image, finds and pulls', async () => {
    await writeFile(join(work, 'sbom.json'), '{"spdxVersion":"SPDX-2.3"}')
    const files = `${served.address}/team/files`
    await client('oras', 'push', '--plain-http', `${files}:v1`, 'sbom.json:application/json')
    await mkdir(join(work, 'oras-out'))
    await client('oras', 'pull', '--plain-http', '-o', 'oras-out', `${files}:v1`)
    expect(await readFile(join(work, 'oras-out/sbom.json'), 'utf8')).toContain('SPDX-2.3')
    const type = ['--artifact-type', 'application/spdx+json']
    await client(
      'oras',
      'attach',
      '--plain-http',
      ...type,
      `${app}:v1`,
      'sbom.json:application/json',
    )
    const found = await client('oras', 'discover', '--plain-http', '--format', 'json', `${app}:v1`)
    expect(found).toContain('application/spdx+json')
    // No fallback tag was needed.
    expect((await client('crane', 'ls', '--insecure', app)).trim()).toBe('v1')
  })

  it('what they pushed is an image of the store', async () => {
    const host = createHost({ plugins: [local, docker], env: {} })
    const store = `local://${join(work, 'clients')}//`
    expect(await host.inspect(`${store}team/app:v1`)).toMatchObject({
      digest,
      attachments: [{ artifact_type: 'application/spdx+json' }],
    })
    const archive = `oci-archive:${join(work, 'pulled.tar')}:v1`
    expect(await host.copy(`${store}team/app:v1`, archive)).toMatchObject({ digest })
    const report = await host.doctor(store, { deep: true })
    expect([report.manifest_issues, report.file_issues]).toEqual([undefined, undefined])
  })

  const engine = requiredService('engines', 'S3LO_TEST_ENGINE_OVERLAY')
  it.skipIf(engine === undefined)('docker pushes and pulls', async () => {
    const env = { PATH: process.env['PATH'], HOME: work, DOCKER_HOST: engine }
    const engineRun = async (...args: readonly string[]): Promise<string> =>
      (await run('docker', args, { cwd: work, env })).stdout
    const name = `${served.address}/team/engine:v1`
    await writeBigArchive(join(work, 'engine.tar'), { layerCount: 3, layerBytes: MIB, name })
    await engineRun('load', '-i', 'engine.tar')
    const pushed = /digest: (sha256:\w{64})/.exec(await engineRun('push', name))?.[1]
    await engineRun('rmi', name)
    expect(await engineRun('pull', name)).toContain(`Digest: ${pushed}`)
    await engineRun('rmi', name)
  })
})
