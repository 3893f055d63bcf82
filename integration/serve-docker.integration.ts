/** `s3lo serve` with users and rules before Docker: log-ins, pushes, mounts and pulls through the API of the engine. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import local from '@s3lo/backend-local/plugin'
import { createHost } from '@s3lo/core'
import { TAR_END, tarFile } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { requiredService } from './required.ts'
import { SourceCli } from './source-cli.ts'

/** As `htpasswd -nbB -C 5 alice secret` printed it. */
const HASH = '$2y$05$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES'
const CONFIG = `
users: { htpasswd: htpasswd }
access:
  - { repositories: 'team/*', who: alice, may: [pull, push] }
`

const engine = requiredService('engines', 'S3LO_TEST_ENGINE_CONTAINERD')
if (engine === undefined) it.skip('the engine is not there', () => {})
else describe('Docker 28', () => testWith(engine.replace('unix://', '')))

interface Answer {
  readonly status: number
  readonly body: string
}

function testWith(socketPath: string): void {
  let folder: string
  let host: string
  let stop: () => Promise<void>

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 's3lo-serve-docker-'))
    await writeFile(join(folder, 'serve.yaml'), CONFIG)
    await writeFile(join(folder, 'htpasswd'), `alice:${HASH}\n`)
    await mkdir(join(folder, 'home'))
    const cli = await SourceCli.open(folder)
    const options = ['--config', 'serve.yaml', '--listen', '127.0.0.1:0']
    const server = cli.spawn(['serve', `local://${folder}/store//`, ...options])
    host = await new Promise<string>((resolve, reject) => {
      let said = ''
      server.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        const [, found] = /^Serving .* at http:\/\/(\S+)$/m.exec(said) ?? []
        if (found !== undefined) resolve(found)
      })
      server.once('close', () => reject(new Error(said)))
    })
    stop = () =>
      new Promise((resolve) => {
        server.once('close', () => resolve())
        server.kill('SIGTERM')
      })
  })

  afterAll(async () => {
    await stop()
    await rm(folder, { recursive: true })
  })

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

  it('logs in with the right password only', async () => {
    expect((await logIn('wrong')).body).toContain('wrong user name, password or token')
    expect(await logIn('secret')).toMatchObject({
      status: 200,
      body: expect.stringContaining('Login Succeeded'),
    })
  })

  it('pushes, mounts and pulls what its user may, and nothing else', async () => {
    const body = Buffer.concat([tarFile('a file', 'its content'), TAR_END])
    const path = `/images/create?fromSrc=-&repo=${host}/team/app&tag=v1`
    expect((await ask('POST', path, { body })).status).toBe(200)
    expect((await push('team/app', 'secret')).body).toMatch(/digest: sha256:/)
    for (const name of ['team/copy', 'other']) await tag('team/app', name)
    expect((await push('team/copy', 'secret')).body).toContain('Mounted from team/app')
    expect((await push('other', 'secret')).body).toContain('403')
    for (const name of ['team/app', 'team/copy', 'other']) await remove(name)
    expect((await pull('team/app')).body).toContain('pull access denied')
    expect((await pull('team/app', 'secret')).body).toContain('Downloaded newer image')
    await remove('team/app')
    const images = await createHost({ plugins: [local] }).list(`local://${folder}/store/`)
    expect(images.map(({ name }) => name).toSorted()).toEqual(['team/app', 'team/copy'])
  })
}
