import { randomUUID } from 'node:crypto'
import { asString, isS3loError, type TransportOptions } from '@s3lo/core/plugin'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { login, logout } from '../../src/auth/login.ts'
import { registry, RegistryRepository } from '../../src/index.ts'
import { bytesOf, CONFIG, opener } from '../images.ts'
import { type RegistryServers, requiredServers } from '../registry-server.ts'
import { Home } from './home.ts'

const servers = requiredServers()
if (servers === undefined) it.skip('registries are not there', () => {})
else testAgainst(servers)

/** One way of having credentials: what is in the home, and what opens a repository. */
interface Way {
  readonly title: string
  prepare(home: Home, host: string): Promise<Partial<TransportOptions> | void>
}

function testAgainst({ htpasswd, token, tls, ca, user, password }: RegistryServers): void {
  const auth = Buffer.from(`${user}:${password}`).toString('base64')
  const kept = (host: string) => ({ [host]: { Username: user, Secret: password } })
  const file = (host: string) => ({ auths: { [host]: { auth } } })
  const name = `${randomUUID()}/private`

  const ways: readonly Way[] = [
    {
      title: 'config.json',
      prepare: async (home, host) => void (await home.write('.docker/config.json', file(host))),
    },
    {
      title: 'config.json for a part of the registry',
      async prepare(home, host) {
        const [part = ''] = name.split('/')
        const wrong = { auth: Buffer.from('bob:wrong').toString('base64') }
        const auths = { [host]: wrong, [`${host}/${part}`]: { auth } }
        await home.write('.docker/config.json', { auths })
      },
    },
    {
      title: 'REGISTRY_AUTH_FILE',
      async prepare(home, host) {
        const path = await home.write('auth.json', file(host))
        return { env: { ...home.env, REGISTRY_AUTH_FILE: path } }
      },
    },
    {
      title: "podman's auth.json of the session",
      prepare: async (home, host) =>
        void (await home.write('run/containers/auth.json', file(host))),
    },
    {
      title: "podman's auth.json of the user",
      prepare: async (home, host) =>
        void (await home.write('.config/containers/auth.json', file(host))),
    },
    {
      title: 'the helper of the host',
      async prepare(home, host) {
        await home.installHelper('test')
        await home.write('keychain.json', kept(host))
        await home.write('.docker/config.json', { credHelpers: { [host]: 'test' } })
      },
    },
    {
      title: 'the helper of all hosts',
      async prepare(home, host) {
        await home.installHelper('test')
        await home.write('keychain.json', kept(host))
        await home.write('.docker/config.json', { credsStore: 'test' })
      },
    },
    {
      title: 'the plugin of a cloud',
      prepare: () =>
        Promise.resolve({
          registryCredential: () => Promise.resolve({ username: user, password }),
        }),
    },
  ]

  const tokenWays: readonly Way[] = [
    {
      title: 'an identity token in config.json',
      async prepare(home, host) {
        const identitytoken = await tokenOf('refresh_token', '')
        await home.write('.docker/config.json', { auths: { [host]: { identitytoken } } })
      },
    },
    {
      title: 'an identity token of a helper',
      async prepare(home, host) {
        const Secret = await tokenOf('refresh_token', '')
        await home.installHelper('test')
        await home.write('keychain.json', { [host]: { Username: '<token>', Secret } })
        await home.write('.docker/config.json', { credsStore: 'test' })
      },
    },
    {
      title: 'a registry token in config.json',
      async prepare(home, host) {
        const registrytoken = await tokenOf('token', `repository:${name}:pull`)
        await home.write('.docker/config.json', { auths: { [host]: { registrytoken } } })
      },
    },
  ]

  /** Something that the token service gives to who asks for everything. */
  async function tokenOf(member: string, scope: string): Promise<string> {
    const { headers } = await fetch(`http://${token}/v2/`)
    const realm = /realm="([^"]+)"/.exec(headers.get('www-authenticate') ?? '')?.[1] ?? ''
    const query = new URLSearchParams({ offline_token: 'true', service: 's3lo-registry', scope })
    const answer = await fetch(`${realm}?${query.toString()}`, {
      headers: { authorization: `Basic ${auth}` },
    })
    const body: unknown = await answer.json()
    const tokens = new Map(Object.entries(body ?? {}))
    return asString(tokens.get(member), member)
  }

  describe.each([
    { mode: 'passwords', host: htpasswd, options: {}, accepted: ways },
    { mode: 'TLS and passwords', host: tls, options: { tlsCa: ca }, accepted: ways },
    { mode: 'tokens', host: token, options: {}, accepted: [...ways, ...tokenWays] },
  ])('a registry with $mode', ({ host, options, accepted }) => {
    let home: Home

    async function open(more: Partial<TransportOptions> | void): Promise<RegistryRepository> {
      const opened = await registry.openTarget(`//${host}/${name}`, {
        env: home.env,
        ...options,
        ...more,
      })
      if (!(opened.target instanceof RegistryRepository)) throw new Error('not a repository')
      return opened.target
    }

    async function pull(more: Partial<TransportOptions> | void): Promise<Buffer> {
      const repository = await open(more)
      try {
        return Buffer.from(await bytesOf(await repository.fetch(CONFIG.descriptor)))
      } finally {
        await repository.close()
      }
    }

    beforeAll(async () => {
      const registryCredential = () => Promise.resolve({ username: user, password })
      home = await Home.create()
      const repository = await open({ registryCredential })
      await repository.put(CONFIG.descriptor, opener(CONFIG.content))
      await repository.close()
      await home.remove()
    })

    beforeEach(async () => {
      home = await Home.create()
    })
    afterEach(() => home.remove())

    it.each(accepted)('gives a private blob with credentials from $title', async (way) => {
      const more = await way.prepare(home, host)
      expect((await pull(more)).equals(CONFIG.content)).toBe(true)
    })

    it.each(['no password', 'a wrong password'])(
      'says in one line how to log in: %s',
      async (what) => {
        await home.remove()
        home = await Home.create()
        const wrong = Buffer.from(`${user}:wr0ng`).toString('base64')
        if (what === 'a wrong password') {
          await home.write('.docker/config.json', { auths: { [host]: { auth: wrong } } })
        }
        const error: unknown = await pull({}).catch((caught: unknown) => caught)
        if (!isS3loError(error, 'UNAUTHORIZED')) throw error
        expect(error.message).toContain(host)
        expect(error.message).not.toMatch(/\n|wr0ng/)
        expect(error.hint).toContain(`s3lo login ${host}`)
      },
    )

    it('is logged in to and out of', async () => {
      const settings = { env: home.env, ...options }
      const wrong: unknown = await login(
        host,
        { username: user, password: 'wr0ng' },
        settings,
      ).catch((caught: unknown) => caught)
      expect(isS3loError(wrong, 'UNAUTHORIZED')).toBe(true)
      const result = await login(host, { username: user, password }, settings)
      expect(result).toMatchObject({ isChecked: true, isPlain: true })
      expect((await pull({})).equals(CONFIG.content)).toBe(true)
      await logout(host, settings)
      expect(isS3loError(await pull({}).catch((caught: unknown) => caught), 'UNAUTHORIZED')).toBe(
        true,
      )
    })
  })
}
