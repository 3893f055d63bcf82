/** `s3lo serve` with users, rules and TLS before Docker: log-ins, pushes, mounts and pulls through the API of the engines. */
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import local from '@s3lo/backend-local/plugin'
import { createHost } from '@s3lo/core'
import { TAR_END, tarFile } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { requiredService } from './required.ts'
import { SecuredServe } from './secured-serve.ts'

const ENGINES = [
  { version: '20.10', name: 'LEGACY', hasTls: true },
  { version: '26', name: 'OVERLAY', hasTls: true },
  // With its store of containerd, it talks to addresses of this machine without TLS.
  { version: '28', name: 'CONTAINERD', hasTls: false },
]
describe.each(ENGINES)('Docker $version, TLS: $hasTls', ({ name, hasTls }) => {
  const engine = requiredService('engines', `S3LO_TEST_ENGINE_${name}`)
  if (engine === undefined) it.skip('the engine is not there', () => {})
  else testWith(engine.replace('unix://', ''), hasTls)
})

interface Answer {
  readonly status: number
  readonly body: string
}

/** Engines do not look at the certificates of addresses of this machine. */
function testWith(socketPath: string, hasTls: boolean): void {
  let served: SecuredServe
  let host: string
  beforeAll(async () => {
    served = await SecuredServe.start([], { hasTls })
    ;({ host } = served)
  })
  afterAll(() => served[Symbol.asyncDispose]())

  const ask = (
    method: string,
    path: string,
    { body, password }: { readonly body?: Buffer | string; readonly password?: string } = {},
  ): Promise<Answer> => {
    const login = { username: 'alice', password, serveraddress: host }
    // URL-safe and padded, as the engine's API has it.
    const base64 = Buffer.from(JSON.stringify(login)).toString('base64')
    const auth = base64.replaceAll('+', '-').replaceAll('/', '_')
    const headers = {
      'content-type': typeof body === 'string' ? 'application/json' : 'application/x-tar',
      ...(password !== undefined && { 'x-registry-auth': auth }),
    }
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath, method, path, headers }, (reply) => {
        text(reply).then((all) => resolve({ status: reply.statusCode ?? 0, body: all }), reject)
      })
      sent.once('error', reject)
      sent.end(body)
    })
  }
  const logIn = (password: string): Promise<Answer> => {
    const body = JSON.stringify({ username: 'alice', password, serveraddress: host })
    return ask('POST', '/auth', { body })
  }
  const push = (name: string, password: string): Promise<Answer> =>
    ask('POST', `/images/${host}/${name}/push?tag=v1`, { password })
  const pull = (name: string, password?: string): Promise<Answer> =>
    ask('POST', `/images/create?fromImage=${host}/${name}&tag=v1`, {
      ...(password !== undefined && { password }),
    })
  const tag = (from: string, to: string): Promise<Answer> =>
    ask('POST', `/images/${host}/${from}:v1/tag?repo=${host}/${to}&tag=v1`)
  const remove = (name: string): Promise<Answer> =>
    ask('DELETE', `/images/${host}/${name}:v1?force=true`)
  const digestIn = ({ body }: Answer): string | undefined =>
    /[Dd]igest: (?<digest>sha256:\w{64})/.exec(body)?.groups?.['digest']

  it('logs in with the right password only', async () => {
    // Some versions try again without TLS, and report that.
    expect((await logIn('wrong')).body).toMatch(/wrong user name, password or token|EOF/)
    expect(await logIn('secret')).toMatchObject({
      status: 200,
      body: expect.stringContaining('Login Succeeded'),
    })
  })

  it('pushes, mounts and pulls what its user may, and nothing else', async () => {
    const body = Buffer.concat([tarFile('a file', 'its content'), TAR_END])
    const path = `/images/create?fromSrc=-&repo=${host}/team/app&tag=v1`
    expect((await ask('POST', path, { body })).status).toBe(200)
    const digest = digestIn(await push('team/app', 'secret'))
    expect(digest).toBeDefined()
    for (const name of ['team/copy', 'other']) await tag('team/app', name)
    expect((await push('team/copy', 'secret')).body).toContain('Mounted from team/app')
    expect((await push('other', 'secret')).body).toMatch(/403|denied/)
    for (const name of ['team/app', 'team/copy', 'other']) await remove(name)
    expect((await pull('team/app')).body).toContain('pull access denied')
    const pulled = await pull('team/app', 'secret')
    expect(pulled.body).toContain('Downloaded newer image')
    expect(digestIn(pulled)).toBe(digest)
    await remove('team/app')
    const listed = createHost({ plugins: [local] })
    for (const name of ['team/app', 'team/copy']) {
      const reference = `${served.store}${name}:v1`
      expect(await listed.inspect(reference)).toMatchObject({ digest })
    }
    await expect(listed.inspect(`${served.store}other:v1`)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
}
