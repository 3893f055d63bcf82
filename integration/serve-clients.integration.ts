/**
 * `s3lo serve` with users and TLS before more clients that others wrote: podman, containerd, cosign and
 * docker's manifests; by night also regctl, helm and buildx. Each logs in, pushes and pulls.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import local from '@s3lo/backend-local/plugin'
import { createHost } from '@s3lo/core'
import { imageFixture, indexFixture, TAR_END, tarFile } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SIGNING_CONFIG } from './cosign-offline.ts'
import { writeOciLayout } from './oci-layout.ts'
import {
  type Clients,
  requiredClients,
  requiredCosign,
  requiredNightlyClients,
  requiredServer,
  requiredService,
} from './required.ts'
import { SecuredServe } from './secured-serve.ts'

const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'

/** An image that engines can unpack. */
function imageOf(text: string, platform = 'linux/amd64') {
  const layer = Buffer.concat([tarFile('a file', text), TAR_END])
  return imageFixture({ layers: [layer], layerType: LAYER_TYPE, platform, label: text })
}
const single = imageOf('single')
const index = indexFixture({
  'linux/amd64': imageOf('amd64'),
  'linux/arm64': imageOf('arm64', 'linux/arm64'),
})

let served: SecuredServe
let host: string
const clients = requiredClients()

beforeAll(async () => {
  served = await SecuredServe.start()
  ;({ host } = served)
  await writeOciLayout(join(served.folder, 'single'), 'v1', single)
  await writeOciLayout(join(served.folder, 'index'), 'v1', index)
  if (clients) await seed(clients)
})
afterAll(() => served[Symbol.asyncDispose]())

/** What is there before: `team/single` and `team/index`. crane keeps the password where others find it. */
async function seed({ crane, skopeo }: Clients): Promise<void> {
  const login = ['login', '-u', 'alice', '-p', 'secret', host]
  await served.client(crane, ['auth', ...login])
  await served.client(skopeo, login)
  for (const name of ['single', 'index']) {
    const copy = ['--insecure-policy', 'copy', '--all', '--preserve-digests', `oci:${name}:v1`]
    await served.client(skopeo, [...copy, `docker://${host}/team/${name}:v1`])
  }
}

const stored = createHost({ plugins: [local], env: {} })
const digestOf = async (image: string, { store } = served): Promise<string> =>
  (await stored.inspect(`${store}${image}`)).digest

/** For clients that talk to addresses of their own machine without TLS. */
async function startPlain(): Promise<SecuredServe> {
  const plain = await SecuredServe.start([], { hasTls: false })
  const login = ['-u', 'alice', '-p', 'secret', plain.host]
  await plain.client(clients?.crane ?? '', ['auth', 'login', ...login])
  await plain.client(clients?.skopeo ?? '', ['login', '--tls-verify=false', ...login])
  return plain
}

describe.skipIf(clients === undefined)('podman', () => {
  const podman = (...args: readonly string[]): Promise<string> => {
    const at = ['--root', join(served.folder, 'podman'), '--runroot', join(served.folder, 'run')]
    const how = ['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs']
    return served.client('podman', [...at, ...how, '--events-backend', 'file', ...args])
  }

  it.skipIf(requiredService('engines', 'S3LO_TEST_ENGINE_PODMAN') === undefined)(
    'logs in with the right password only, pulls and pushes',
    async () => {
      const login = (password: string) => podman('login', '-u', 'alice', '-p', password, host)
      await expect(login('wrong')).rejects.toThrow(/invalid username\/password/)
      expect(await login('secret')).toContain('Login Succeeded')
      const from = `${host}/team/single:v1`
      await podman('pull', '--quiet', from)
      const digest = await podman('image', 'inspect', '--format', '{{.Digest}}', from)
      expect(digest.trim()).toBe(single.root.descriptor.digest)
      const to = `${host}/team/podman:v1`
      await podman('push', '--quiet', '--digestfile', 'pushed', from, to)
      const pushed = await readFile(join(served.folder, 'pushed'), 'utf8')
      expect(await digestOf('team/podman:v1')).toBe(pushed.trim())
      await podman('rmi', '--all', '--force')
      await podman('pull', '--quiet', to)
      const pulled = await podman('image', 'inspect', '--format', '{{.Digest}}', to)
      expect(pulled).toBe(`${pushed.trim()}\n`)
      await expect(podman('push', '--quiet', to, `${host}/other:v1`)).rejects.toThrow(/403/)
      await podman('rmi', '--all', '--force')
    },
  )
})

const containerd = requiredServer('engines', 'engines.sh', [
  'S3LO_TEST_CTR',
  'S3LO_TEST_CONTAINERD',
])
describe.skipIf(clients === undefined || containerd === undefined)('containerd', () => {
  const ctr = (...args: readonly string[]): Promise<string> => {
    const { S3LO_TEST_CTR = '', S3LO_TEST_CONTAINERD = '' } = containerd ?? {}
    const at = ['--address', S3LO_TEST_CONTAINERD, '--namespace', 's3lo-serve']
    return served.client(S3LO_TEST_CTR, [...at, ...args])
  }
  /** The daemon reads the files. */
  const as = (user: string): readonly string[] => [
    '--hosts-dir',
    join(served.folder, 'certs.d'),
    '--user',
    user,
  ]

  async function writeHosts(name: string, text: string): Promise<void> {
    const path = join(served.folder, 'certs.d', name, 'hosts.toml')
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }

  it('pulls by hosts.toml as from a mirror of another registry, and pushes', async () => {
    const mirror = `[host."https://${host}"]\n  ca = "${served.ca}"\n`
    await writeHosts(
      'registry.example',
      `server = "https://127.0.0.1:1"\n${mirror}  capabilities = ["pull", "resolve"]\n`,
    )
    await writeHosts(host, `server = "https://${host}"\n${mirror}`)
    for (const [name, { root }] of [
      ['single', single],
      ['index', index],
    ] as const) {
      const mirrored = `registry.example/team/${name}:v1`
      await ctr('images', 'pull', ...as('alice:secret'), '--all-platforms', mirrored)
      const listed = await ctr('images', 'list', `name==${mirrored}`)
      expect(listed).toContain(root.descriptor.digest)
      const pushed = `team/ctr-${name}:v1`
      await ctr('images', 'push', ...as('alice:secret'), `${host}/${pushed}`, mirrored)
      expect(await digestOf(pushed)).toBe(root.descriptor.digest)
      await ctr('images', 'remove', '--sync', mirrored)
    }
    const wrong = ctr('images', 'pull', ...as('alice:wrong'), 'registry.example/team/single:v1')
    await expect(wrong).rejects.toThrow(/401|authorization failed|127\.0\.0\.1:1/)
  })
})

const docker = requiredService('engines', 'S3LO_TEST_DOCKER')
describe.skipIf(docker === undefined || clients === undefined)('docker manifest', () => {
  it('makes an index of images that are there, pushes and inspects it', async () => {
    await using plain = await startPlain()
    const { host: name } = plain
    const manifest = (...args: readonly string[]): Promise<string> =>
      plain.client(docker ?? '', ['manifest', ...args])
    // Of another repository, this version would copy manifests with other spaces, and so other digests.
    const from = `${name}/team/made:amd64`
    const made = `${name}/team/made:v1`
    // This version knows the media types of Docker only.
    const copy = ['--insecure-policy', 'copy', '--format', 'v2s2', '--dest-tls-verify=false']
    const layout = `oci:${join(served.folder, 'single')}:v1`
    await plain.client(clients?.skopeo ?? '', [...copy, layout, `docker://${from}`])
    await manifest('create', '--insecure', made, from)
    const pushed = await manifest('push', '--insecure', made)
    expect(await digestOf('team/made:v1', plain)).toBe(pushed.trim())
    const shown = await manifest('inspect', '--insecure', made)
    expect(shown).toContain(await digestOf('team/made:amd64', plain))
  })
})

const cosign = requiredCosign()
describe.skipIf(cosign === undefined || clients === undefined)('cosign', () => {
  const PASSWORD = { COSIGN_PASSWORD: 'a password', COSIGN_EXPERIMENTAL: '1' }
  beforeAll(async () => {
    await writeFile(join(served.folder, 'no-log.json'), JSON.stringify(SIGNING_CONFIG))
    await writeFile(join(served.folder, 'predicate.json'), '{"passed":true}')
    const made = await served.cli.run(['generate-key-pair'], PASSWORD)
    expect(made).toMatchObject({ status: 0 })
  })

  it.each([2, 3] as const)(
    '%i logs in, signs, attests and verifies by referrers',
    async (major) => {
      const run = (...args: readonly string[]): Promise<string> =>
        served.client(cosign?.[major] ?? '', args, PASSWORD)
      const name = `team/cosign-${major}`
      await served.client(clients?.crane ?? '', [
        'copy',
        `${host}/team/index:v1`,
        `${host}/${name}:v1`,
      ])
      const image = `${host}/${name}@${index.root.descriptor.digest}`
      await run('login', host, '-u', 'alice', '-p', 'secret')
      const two = major === 2
      const offline = two ? ['--tlog-upload=false'] : ['--signing-config', 'no-log.json']
      const asReferrer = two ? ['--registry-referrers-mode=oci-1-1'] : []
      const ours = ['--key', 'cosign.pub', '--insecure-ignore-tlog']
      const private2 = two ? ['--private-infrastructure'] : []
      const oci11 = two ? ['--experimental-oci11'] : []
      await run('sign', '--yes', '--key', 'cosign.key', ...offline, ...asReferrer, image)
      expect(await run('verify', ...ours, ...private2, ...oci11, image)).toContain(
        index.root.descriptor.digest,
      )
      const about = ['--predicate', 'predicate.json', '--type', 'custom']
      await run('attest', '--yes', '--key', 'cosign.key', ...offline, ...about, image)
      const attested = await run(
        'verify-attestation',
        ...ours,
        ...private2,
        '--type',
        'custom',
        image,
      )
      expect(attested).toContain('payload')
      const { attachments = [] } = await stored.inspect(`${served.store}${name}:v1`)
      expect(attachments.length).toBeGreaterThan(0)
    },
  )
})

const nightly = requiredNightlyClients()
describe.skipIf(nightly === undefined)('by night', () => {
  const { regctl = '', helm = '', buildx = '' } = nightly ?? {}

  it('regctl copies, lists and attaches', async () => {
    const run = (...args: readonly string[]): Promise<string> => served.client(regctl, args)
    await run('registry', 'login', host, '-u', 'alice', '-p', 'secret')
    const image = `${host}/team/regctl:v1`
    await run('image', 'copy', 'ocidir://index:v1', image)
    expect((await run('image', 'digest', image)).trim()).toBe(index.root.descriptor.digest)
    expect(await digestOf('team/regctl:v1')).toBe(index.root.descriptor.digest)
    await run('image', 'copy', image, 'ocidir://regctl-out:v1')
    const out = await readFile(join(served.folder, 'regctl-out/index.json'), 'utf8')
    expect(out).toContain(index.root.descriptor.digest)
    await writeFile(join(served.folder, 'note.txt'), 'a note')
    const put = ['artifact', 'put', '--artifact-type', 'example/note', '-f', 'note.txt']
    await run(...put, '--subject', image)
    expect(await run('artifact', 'list', image)).toContain('example/note')
    expect((await run('tag', 'ls', `${host}/team/regctl`)).trim()).toBe('v1')
    await expect(run('image', 'copy', 'ocidir://single:v1', `${host}/other:v1`)).rejects.toThrow()
  })

  it('helm pushes and pulls a chart', async () => {
    const run = (...args: readonly string[]): Promise<string> => served.client(helm, args)
    await run('registry', 'login', host, '-u', 'alice', '-p', 'secret')
    await run('create', 'chart')
    await run('package', 'chart')
    await run('push', 'chart-0.1.0.tgz', `oci://${host}/team`)
    const pull = ['pull', `oci://${host}/team/chart`, '--version', '0.1.0']
    await mkdir(join(served.folder, 'pulled-chart'))
    await run(...pull, '--destination', 'pulled-chart')
    const read = (path: string) => readFile(join(served.folder, path, 'chart-0.1.0.tgz'))
    expect((await read('pulled-chart')).equals(await read('.'))).toBe(true)
  })

  it('buildx pushes an index with attestations, and keeps its cache there', async () => {
    const engine = requiredService('engines', 'S3LO_TEST_ENGINE_CONTAINERD')
    if (engine === undefined) return
    // BuildKit talks to addresses of its machine without TLS.
    await using open = await SecuredServe.start([], { hasTls: false })
    await open.client(clients?.crane ?? '', [
      'auth',
      'login',
      '-u',
      'alice',
      '-p',
      'secret',
      open.host,
    ])
    await writeFile(join(open.folder, 'Dockerfile'), 'FROM scratch\nCOPY serve.yaml /\n')
    const cache = `type=registry,ref=${open.host}/team/cache:v1`
    const platforms = ['--platform', 'linux/amd64,linux/arm64', '--provenance', 'mode=max']
    const build = (tag: string): Promise<string> =>
      open.client(
        buildx,
        ['build', '--push', ...platforms, '--tag', `${open.host}/team/built:${tag}`].concat([
          '--cache-to',
          `${cache},mode=max`,
          '--cache-from',
          cache,
          '.',
        ]),
        { DOCKER_HOST: engine },
      )
    await build('v1')
    await build('v2')
    const built = await stored.inspect(`${open.store}team/built:v1`)
    expect(built).toMatchObject({ is_index: true })
    expect(JSON.stringify(built)).toContain('arm64')
    expect(await stored.list(open.store)).toContainEqual({ name: 'team/cache', tags: ['v1'] })
    const report = await stored.doctor(open.store, { deep: true, probe: false })
    expect([report.manifest_issues, report.file_issues]).toEqual([undefined, undefined])
  })
})
