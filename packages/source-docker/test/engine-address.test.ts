import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TransportOptions } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findEngine } from '../src/engine/engine-address.ts'
import { codeOf } from './code-of.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-docker-'))
})
afterEach(() => rm(folder, { recursive: true }))

const find = (env: TransportOptions['env'], more: Partial<TransportOptions> = {}) =>
  findEngine({ env, ...more })

async function failureOf(env: TransportOptions['env']): Promise<string> {
  return codeOf(find(env))
}

async function writeContext(
  name: string,
  docker: object,
  tls: Record<string, string> = {},
): Promise<void> {
  const id = createHash('sha256').update(name).digest('hex')
  const meta = join(folder, 'contexts', 'meta', id)
  await mkdir(meta, { recursive: true })
  await writeFile(join(meta, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker } }))
  const keys = join(folder, 'contexts', 'tls', id, 'docker')
  await mkdir(keys, { recursive: true })
  for (const [file, content] of Object.entries(tls)) await writeFile(join(keys, file), content)
}

describe('the engine', () => {
  it('listens on the default socket unless something says otherwise', async () => {
    expect(await find({})).toMatchObject({ kind: 'socket' })
    expect(await find({ DOCKER_CONTEXT: 'default' })).toMatchObject({ kind: 'socket' })
    expect(await find({ DOCKER_CONFIG: folder })).toMatchObject({ kind: 'socket' })
  })

  it.each([
    ['unix:///run/my.sock', { kind: 'socket', path: '/run/my.sock' }],
    ['npipe:////./pipe/docker_engine', { kind: 'socket', path: '\\\\.\\pipe\\docker_engine' }],
    ['tcp://10.0.0.1', { kind: 'tcp', host: '10.0.0.1', port: 2375 }],
    ['tcp://10.0.0.1:80', { kind: 'tcp', host: '10.0.0.1', port: 80 }],
    ['tcp://[::1]:2375', { kind: 'tcp', host: '::1', port: 2375 }],
    ['https://engine.example', { kind: 'tcp', host: 'engine.example', port: 2376, tls: {} }],
  ])('is at DOCKER_HOST=%s', async (DOCKER_HOST, address) => {
    expect(await find({ DOCKER_HOST })).toEqual({ ...address, text: DOCKER_HOST })
  })

  it.each([
    ['ssh://user@host', 'UNSUPPORTED'],
    ['unix://relative', 'USAGE'],
    ['tcp://', 'USAGE'],
    ['tcp://host/path', 'USAGE'],
    ['fd://', 'USAGE'],
    ['just-a-name', 'USAGE'],
  ])('cannot be at DOCKER_HOST=%s', async (DOCKER_HOST, code) => {
    expect(await failureOf({ DOCKER_HOST })).toBe(code)
  })

  it('is spoken to by TLS with the material of DOCKER_CERT_PATH', async () => {
    await writeFile(join(folder, 'ca.pem'), 'CA')
    await writeFile(join(folder, 'cert.pem'), 'CERT')
    await writeFile(join(folder, 'key.pem'), 'KEY')
    const env = { DOCKER_HOST: 'tcp://host', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder }
    const tls = { ca: Buffer.from('CA'), cert: Buffer.from('CERT'), key: Buffer.from('KEY') }
    expect(await find(env)).toMatchObject({ port: 2376, tls })
    const byHome = { DOCKER_HOST: 'tcp://host', DOCKER_TLS_VERIFY: '1', DOCKER_CONFIG: folder }
    expect(await find(byHome)).toMatchObject({ port: 2376, tls })
    expect(await find(env, { plainHttp: true })).not.toHaveProperty('tls')
    expect(await find({ DOCKER_HOST: 'tcp://host', DOCKER_CERT_PATH: folder })).not.toHaveProperty(
      'tls',
    )
  })

  it('is trusted by an authority that the caller names', async () => {
    const tlsCa = join(folder, 'my.pem')
    await writeFile(tlsCa, 'MINE')
    expect(await find({ DOCKER_HOST: 'tcp://host' }, { tlsCa })).toMatchObject({
      port: 2376,
      tls: { ca: Buffer.from('MINE') },
    })
  })

  it('is the one of the current context', async () => {
    await writeContext(
      'remote',
      { Host: 'tcp://remote:2376', SkipTLSVerify: true },
      { 'ca.pem': 'CA' },
    )
    await writeContext('other', { Host: 'unix:///other.sock' })
    await writeFile(
      join(folder, 'config.json'),
      JSON.stringify({ currentContext: 'remote', auths: {} }),
    )
    const home = { DOCKER_CONFIG: folder }
    const tls = { ca: Buffer.from('CA'), rejectUnauthorized: false }
    expect(await find(home)).toMatchObject({ host: 'remote', port: 2376, tls })
    expect(await find({ ...home, DOCKER_CONTEXT: 'other' })).toMatchObject({ path: '/other.sock' })
    expect(await find({ ...home, DOCKER_CONTEXT: 'default' })).toMatchObject({ kind: 'socket' })
    expect(await find({ ...home, DOCKER_HOST: 'unix:///mine.sock' })).toMatchObject({
      path: '/mine.sock',
    })
  })

  it('is looked for below the home folder of the environment', async () => {
    await mkdir(join(folder, '.docker'))
    await writeFile(
      join(folder, '.docker', 'config.json'),
      JSON.stringify({ currentContext: 'gone' }),
    )
    expect(await failureOf({ HOME: folder })).toBe('NOT_FOUND')
  })

  it('is not guessed from a configuration that is broken', async () => {
    await writeFile(join(folder, 'config.json'), '{')
    expect(await failureOf({ DOCKER_CONFIG: folder })).toBe('INTEGRITY')
    expect(await failureOf({ DOCKER_CONFIG: folder, DOCKER_CONTEXT: '../../x' })).toBe('NOT_FOUND')
  })
})
