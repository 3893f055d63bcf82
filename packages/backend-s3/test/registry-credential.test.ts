import { execFile } from 'node:child_process'
import dns from 'node:dns'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect, promisify } from 'node:util'
import { registryCredentialsFor } from '@s3lo/core/plugin'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import plugin from '../src/plugin.ts'
import { getRegistryCredential } from '../src/registry-credential.ts'
import { ACCESS_KEY, answer, failureOf, SECRET_KEY, SESSION_TOKEN, useFakeS3 } from './fake-s3.ts'

const PRIVATE = '123456789012.dkr.ecr.eu-central-1.amazonaws.com'
const PUBLIC = 'public.ecr.aws'
const PASSWORD = 'password-of-the-registry'
const TOKEN = Buffer.from(`AWS:${PASSWORD}`).toString('base64')
const END = 1_893_456_000

const service = await useFakeS3()
let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 's3lo-ecr-'))
  const profile = ['[ci]', 'aws_access_key_id=PROFILEKEY', `aws_secret_access_key=${SECRET_KEY}`]
  await writeFile(join(home, 'credentials'), profile.join('\n'))
})
afterAll(async () => {
  await rm(home, { recursive: true })
})
beforeEach(() => {
  // The SDK's own search for credentials: nothing of this machine.
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE']) {
    vi.stubEnv(name, undefined)
  }
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  vi.stubEnv('AWS_CONFIG_FILE', join(home, 'config'))
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(home, 'credentials'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

const KEYS = {
  AWS_ACCESS_KEY_ID: ACCESS_KEY,
  AWS_SECRET_ACCESS_KEY: SECRET_KEY,
  AWS_SESSION_TOKEN: SESSION_TOKEN,
}

function logIn(host: string, env: Record<string, string> = KEYS) {
  return getRegistryCredential(host, {
    env: { ...env, AWS_ENDPOINT_URL_ECR: service.url, AWS_ENDPOINT_URL_ECR_PUBLIC: service.url },
  })
}

const json = (value: unknown, status = 200): ReturnType<typeof answer> =>
  answer(status, { 'content-type': 'application/x-amz-json-1.1' }, JSON.stringify(value))
const data = { authorizationToken: TOKEN, expiresAt: END }
const privateAnswer = json({
  authorizationData: [{ ...data, proxyEndpoint: `https://${PRIVATE}` }],
})
const publicAnswer = json({ authorizationData: data })
const refused = (code: string) => json({ __type: code, message: `no ${SECRET_KEY}` }, 400)

describe('credentials for Amazon ECR', () => {
  it('of a private registry are asked for in the region that the host names', async () => {
    service.script(privateAnswer)
    expect(await logIn(PRIVATE)).toEqual({
      username: 'AWS',
      password: PASSWORD,
      expiresAt: new Date(END * 1000),
    })
    expect(service.regions).toEqual(['eu-central-1'])
    expect(service.requests[0]?.headers['x-amz-target']).toMatch(/GetAuthorizationToken$/)
  })

  it('of the public registry are asked for in the one region that has it', async () => {
    service.script(publicAnswer)
    expect(await logIn(PUBLIC)).toMatchObject({ username: 'AWS', password: PASSWORD })
    expect(service.regions).toEqual(['us-east-1'])
  })

  it('come from a profile too', async () => {
    service.script(privateAnswer)
    expect(await logIn(PRIVATE, { AWS_PROFILE: 'ci' })).toMatchObject({ username: 'AWS' })
    expect(service.requests[0]?.headers.authorization).toContain('Credential=PROFILEKEY/')
  })

  it('are not there where AWS credentials are not, which is no failure', async () => {
    service.script()
    expect(await logIn(PRIVATE, {})).toBeUndefined()
    expect(await logIn(PUBLIC, {})).toBeUndefined()
    expect(service.requests).toEqual([])
  })

  it.each([
    ['UnrecognizedClientException', 'UNAUTHORIZED'],
    ['ExpiredTokenException', 'UNAUTHORIZED'],
    ['InvalidSignatureException', 'UNAUTHORIZED'],
    ['AccessDeniedException', 'FORBIDDEN'],
  ])('%s is %s, and holds no secret', async (reason, code) => {
    service.script(refused(reason))
    const error = await failureOf(logIn(PRIVATE))
    expect([error.code, service.requests.length]).toEqual([code, 1])
    const text = inspect(error, { depth: 20, showHidden: true })
    expect(text).toContain('HTTP 400')
    expect(text).not.toMatch(new RegExp(`${SECRET_KEY}|${SESSION_TOKEN}|${ACCESS_KEY}`))
  })

  it('of another S3 service do not keep anybody from the public registry', async () => {
    service.script(refused('UnrecognizedClientException'))
    expect(await logIn(PUBLIC)).toBeUndefined()
  })

  it('are none when the answer has no token', async () => {
    for (const found of [{}, { authorizationData: [] }, { authorizationData: [{}] }]) {
      service.script(json(found))
      expect((await failureOf(logIn(PRIVATE))).code).toBe('UNAVAILABLE')
    }
  })

  it.each([
    [PRIVATE, 'api.ecr.eu-central-1.amazonaws.com'],
    ['123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn', 'api.ecr.cn-north-1.amazonaws.com.cn'],
    ['123456789012.dkr.ecr-fips.us-east-1.amazonaws.com', 'api.ecr-fips.us-east-1.amazonaws.com'],
    ['123456789012.dkr-ecr.us-east-1.on.aws', 'ecr.us-east-1.api.aws'],
    [PUBLIC, 'api.ecr-public.us-east-1.amazonaws.com'],
  ])('of %s are asked of %s, wherever the buckets are', async (host, endpoint) => {
    service.script()
    vi.stubEnv('AWS_ENDPOINT_URL', service.url)
    const names = new Set<string>()
    const lookup = (name: string, _options: unknown, done: (error: Error) => void): void => {
      names.add(name)
      done(Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' }))
    }
    vi.spyOn(dns, 'lookup').mockImplementation(lookup as typeof dns.lookup)
    const env = { ...KEYS, AWS_ENDPOINT_URL: service.url, AWS_ENDPOINT_URL_S3: service.url }
    const error = await failureOf(getRegistryCredential(host, { env }))
    expect([error.code, ...names]).toEqual(['UNAVAILABLE', endpoint])
    expect(service.requests).toEqual([])
  })

  it.each([
    'example.com',
    '1234.dkr.ecr.us-east-1.amazonaws.com',
    '123456789012.dkr.ecr.us-east-1.amazonaws.com.example.com',
    '123456789012.dkr.ecr.us-east-1.evil.example.amazonaws.com',
    'a.public.ecr.aws',
  ])('%s has none', async (host) => {
    service.script()
    expect(await logIn(host)).toBeUndefined()
    expect(service.requests).toEqual([])
  })
})

describe('the plugin', () => {
  it('knows the registries of AWS, and no others', async () => {
    const own = [
      PRIVATE,
      '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn',
      '123456789012.dkr.ecr-fips.us-east-1.amazonaws.com',
      '123456789012.dkr-ecr.us-east-1.on.aws',
      PUBLIC,
    ]
    const others = ['s3.amazonaws.com', 'ecr.aws', 'docker.io', `${PRIVATE}.example.com`]
    const known = [...own, ...others].filter((host) => registryCredentialsFor(plugin, host))
    expect(known).toEqual(own)
    const module = await plugin.registryCredentials[0].load()
    expect(module).toHaveProperty('getRegistryCredential')
  })

  it('loads no SDK before it is asked, and none for a key that is there', async () => {
    service.script(privateAnswer)
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { default: plugin } = await import('@s3lo/backend-s3/plugin')
      const sdks = () => loaded.filter((url) => /@(aws-sdk|smithy)\\//.test(url)).length
      const before = sdks()
      const { getRegistryCredential } = await plugin.registryCredentials[0].load()
      const env = {
        AWS_ACCESS_KEY_ID: '${ACCESS_KEY}', AWS_SECRET_ACCESS_KEY: '${SECRET_KEY}',
        AWS_ENDPOINT_URL_ECR: '${service.url}',
      }
      const { username } = await getRegistryCredential('${PRIVATE}', { env })
      console.log(before, loaded.some((url) => url.includes('@aws-sdk/')), username)`
    const flags = ['--conditions=s3lo-source', '--input-type=module', '--eval', program]
    const cwd = join(import.meta.dirname, '..')
    const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd })
    expect(stdout.trim()).toBe('0 false AWS')
  })
})
