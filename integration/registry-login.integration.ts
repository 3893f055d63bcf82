import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asObject, asString } from '@s3lo/core'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeBigArchive } from './big-archive.ts'
import { PrivateHome } from './private-home.ts'
import { requiredServer } from './required.ts'

const servers = requiredServer('registry', 'start-registry.sh', [
  'S3LO_TEST_REGISTRY_HTPASSWD',
  'S3LO_TEST_REGISTRY_TOKEN',
  'S3LO_TEST_REGISTRY_TLS',
  'S3LO_TEST_REGISTRY_CA',
  'S3LO_TEST_REGISTRY_USER',
  'S3LO_TEST_REGISTRY_PASSWORD',
])
if (servers === undefined) it.skip('registries are not there', () => {})
else testAgainst(servers)

/** One way of having credentials: puts them in the home, and gives what has to be set besides. */
interface Way {
  readonly title: string
  prepare(home: PrivateHome, host: string): Promise<unknown>
}

function testAgainst(server: NonNullable<typeof servers>): void {
  const user = server.S3LO_TEST_REGISTRY_USER
  const password = server.S3LO_TEST_REGISTRY_PASSWORD
  const ca = server.S3LO_TEST_REGISTRY_CA
  const token = server.S3LO_TEST_REGISTRY_TOKEN
  const image = `${randomUUID()}/private:v1`
  const auth = Buffer.from(`${user}:${password}`).toString('base64')
  const file = (host: string) => ({ auths: { [host]: { auth } } })

  const ways: readonly Way[] = [
    {
      title: 'auths of config.json',
      prepare: (home, host) => home.write('.docker/config.json', file(host)),
    },
    {
      title: 'credsStore',
      async prepare(home, host) {
        await home.installHelper({ [host]: [user, password] })
        await home.write('.docker/config.json', { credsStore: 'test' })
      },
    },
    {
      title: 'credHelpers',
      async prepare(home, host) {
        await home.installHelper({ [host]: [user, password] })
        await home.write('.docker/config.json', { credHelpers: { [host]: 'test' } })
      },
    },
    {
      title: 'REGISTRY_AUTH_FILE',
      prepare: (home, host) => home.write('elsewhere.json', file(host)),
    },
    {
      title: "podman's auth.json of the session",
      prepare: (home, host) => home.write('run/containers/auth.json', file(host)),
    },
    {
      title: "podman's auth.json of the user",
      prepare: (home, host) => home.write('.config/containers/auth.json', file(host)),
    },
    {
      title: 's3lo login with a password',
      async prepare(home, host) {
        const args = ['login', host, '-u', user, '--password-stdin', ...trust(host)]
        const { status, stderr } = await home.s3lo(args, { input: `${password}\n` })
        expect({ status, stderr }).toMatchObject({ status: 0 })
        expect(stderr).toContain(`Logged in to ${host} as ${user}.`)
      },
    },
    {
      title: 's3lo login with a helper',
      async prepare(home, host) {
        await home.installHelper({})
        await home.write('.docker/config.json', { credsStore: 'test' })
        const args = ['login', host, '-u', user, '--password-stdin', '-o', 'json', ...trust(host)]
        const { stdout } = await home.s3lo(args, { input: password })
        expect(JSON.parse(stdout)).toEqual({
          host,
          username: user,
          keptIn: 'docker-credential-test',
          isPlain: false,
          isChecked: true,
        })
        const config = await readFile(join(home.folder, '.docker/config.json'), 'utf8')
        expect(config).not.toContain(auth)
      },
    },
  ]

  const tokenWays: readonly Way[] = [
    {
      title: 'an identity token, which buys tokens by OAuth2',
      async prepare(home, host) {
        const identitytoken = await boughtToken('refresh_token', '')
        await home.write('.docker/config.json', { auths: { [host]: { identitytoken } } })
      },
    },
    {
      title: 'an identity token of a helper',
      async prepare(home, host) {
        await home.installHelper({ [host]: ['<token>', await boughtToken('refresh_token', '')] })
        await home.write('.docker/config.json', { credsStore: 'test' })
      },
    },
    {
      title: 'a registry token',
      async prepare(home, host) {
        const scope = `repository:${image.split(':')[0]}:pull`
        const registrytoken = await boughtToken('token', scope)
        await home.write('.docker/config.json', { auths: { [host]: { registrytoken } } })
      },
    },
  ]

  function trust(host: string): readonly string[] {
    return host === server.S3LO_TEST_REGISTRY_TLS ? ['--tls-ca', ca] : []
  }

  /** A member of what the token service gives to who is allowed everything. */
  async function boughtToken(member: string, scope: string): Promise<string> {
    const { headers } = await fetch(`http://${token}/v2/`)
    const realm = /realm="([^"]+)"/.exec(headers.get('www-authenticate') ?? '')?.[1] ?? ''
    const query = new URLSearchParams({ offline_token: 'true', service: 's3lo-registry', scope })
    const answer = await fetch(`${realm}?${query.toString()}`, {
      headers: { authorization: `Basic ${auth}` },
    })
    return asString(asObject(await answer.json(), 'the token')[member], member)
  }

  describe.each([
    { mode: 'passwords', host: server.S3LO_TEST_REGISTRY_HTPASSWD, accepted: ways },
    { mode: 'TLS and passwords', host: server.S3LO_TEST_REGISTRY_TLS, accepted: ways },
    { mode: 'tokens', host: token, accepted: [...ways, ...tokenWays] },
  ])('s3lo and a registry with $mode', ({ host, accepted }) => {
    let home: PrivateHome

    function pull(env: NodeJS.ProcessEnv = {}) {
      const target = `local://${home.folder}/store//app:v1`
      return home.s3lo(['copy', `${host}/${image}`, target, ...trust(host)], { env })
    }

    beforeAll(async () => {
      home = await PrivateHome.create()
      const archive = join(home.folder, 'image.tar')
      await writeBigArchive(archive, { layerCount: 1, layerBytes: 4096, name: 'app:v1' })
      await home.write('.docker/config.json', file(host))
      const source = `docker-archive:${archive}`
      const pushed = await home.s3lo(['copy', source, `${host}/${image}`, ...trust(host)])
      expect(pushed).toMatchObject({ status: 0 })
      await home.remove()
    })
    beforeEach(async () => {
      home = await PrivateHome.create()
    })
    afterEach(() => home.remove())

    it.each(accepted)('pulls a private image with $title', async (way) => {
      await way.prepare(home, host)
      const variable = { REGISTRY_AUTH_FILE: join(home.folder, 'elsewhere.json') }
      const pulled = await pull(way.title === 'REGISTRY_AUTH_FILE' ? variable : {})
      expect(pulled).toMatchObject({ status: 0 })
    })

    it('says in one line, and one with what to type, that a login is needed', async () => {
      const { status, stderr } = await pull()
      expect(status).toBe(77)
      expect(errorLines(stderr)).toEqual([
        expect.stringContaining(`the registry ${host} asks for a login`),
        `hint: log in: s3lo login ${host}`,
      ])
    })

    it('says so of a wrong password that is kept, without it', async () => {
      const wrong = Buffer.from(`${user}:wr0ng-wr0ng`).toString('base64')
      const config = await home.write('.docker/config.json', { auths: { [host]: { auth: wrong } } })
      const { status, stderr } = await pull()
      expect(status).toBe(77)
      expect(errorLines(stderr)).toEqual([
        expect.stringMatching(new RegExp(`^error: .*${host}.*${config}`)),
        expect.stringContaining(`s3lo login ${host}`),
      ])
      expect(stderr).not.toMatch(/wr0ng/)
      expect(stderr).not.toContain(wrong)
    })

    it('keeps no password that the registry refuses', async () => {
      const args = ['login', host, '-u', user, '--password-stdin', ...trust(host)]
      const { status, stderr } = await home.s3lo(args, { input: 'wr0ng-wr0ng\n' })
      expect(status).toBe(77)
      expect(errorLines(stderr)[0]).toContain(host)
      expect(stderr).not.toContain('wr0ng')
      const { stderr: refused } = await pull()
      expect(refused).toContain('asks for a login')
    })

    it('pulls nothing more after s3lo logout', async () => {
      await home.write('.docker/config.json', file(host))
      const { status, stdout } = await home.s3lo(['logout', host, '-o', 'json'])
      expect(status).toBe(0)
      const removedFrom = [join(home.folder, '.docker/config.json')]
      expect(JSON.parse(stdout)).toEqual({ host, removedFrom, remainingIn: [] })
      expect((await pull()).status).toBe(77)
    })
  })
}

/** What is said from the error on. */
function errorLines(stderr: string): readonly string[] {
  const lines = stderr.trimEnd().split('\n')
  return lines.slice(lines.findIndex((line) => line.startsWith('error:')))
}
