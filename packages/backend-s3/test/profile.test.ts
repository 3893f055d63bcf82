import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BackendOptions } from '@s3lo/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBackend } from '../src/index.ts'
import { readProfile, withProfile } from '../src/profile.ts'
import { getRegistryCredential } from '../src/registry-credential.ts'
import { ACCESS_KEY, facts, failureOf, SECRET_KEY, useFakeS3 } from './fake-s3.ts'

const service = await useFakeS3()
let home: string
let base: Record<string, string>
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 's3lo-aws-'))
  base = {
    AWS_CONFIG_FILE: join(home, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(home, 'credentials'),
    AWS_ACCESS_KEY_ID: ACCESS_KEY,
    AWS_SECRET_ACCESS_KEY: SECRET_KEY,
  }
  await writeFile(
    join(home, 'config'),
    [
      '[default]',
      'region = eu-north-1',
      '[profile minio]',
      'region = eu-west-3',
      `endpoint_url = ${service.url}`,
      '[profile both]',
      'services = mine',
      'endpoint_url = http://for-others.example',
      '[profile only-others]',
      'services = others',
      'endpoint_url = http://for-s3.example',
      '[profile ignoring]',
      'ignore_configured_endpoint_urls = true',
      'endpoint_url = http://ignored.example',
      '[profile special]',
      'use_fips_endpoint = true',
      'use_dualstack_endpoint = true',
      '[profile torn]',
      'services = nowhere',
      '[services mine]',
      's3 =',
      '  endpoint_url = http://in-services.example',
      '[services others]',
      'dynamodb =',
      '  endpoint_url = http://dynamodb.example',
      '',
    ].join('\n'),
  )
  await writeFile(join(home, 'credentials'), '[keys-only]\naws_access_key_id = A\n')
})
afterAll(async () => {
  await rm(home, { recursive: true })
})

describe('the addresses of AWS that are to be used', () => {
  it.each([
    [{}, false, false],
    [{ AWS_PROFILE: 'special' }, true, true],
    [{ AWS_PROFILE: 'special', AWS_USE_FIPS_ENDPOINT: 'false' }, false, true],
    [{ AWS_USE_DUALSTACK_ENDPOINT: 'TRUE' }, false, true],
  ])('for %j have FIPS: %s, both kinds of IP: %s', async (more, isFips, isDualStack) => {
    const { addressKind } = await readProfile({ ...base, ...more })
    expect(addressKind).toEqual({ isFips, isDualStack })
  })
})

describe('the endpoint of a profile', () => {
  it('is where requests go, with the region of the profile', async () => {
    service.script(facts())
    const env = { ...base, AWS_PROFILE: 'minio' }
    const backend = await openBackend({ scheme: 's3', bucket: 'bucket' }, { env })
    await backend.head('key')
    expect(backend.guarantees.createOnly).toBe(false)
    expect([service.seen, service.regions]).toEqual([['HEAD /bucket/key'], ['eu-west-3']])
  })

  it.each<[string, string | undefined, Record<string, string>]>([
    ['both', 'http://in-services.example', {}],
    ['only-others', 'http://for-s3.example', {}],
    ['default', undefined, {}],
    ['keys-only', undefined, {}],
    ['ignoring', undefined, {}],
    ['ignoring', 'http://ignored.example', { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'false' }],
    ['both', undefined, { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }],
  ])('%s is %s %j', async (profile, endpoint, more) => {
    const env = { ...base, AWS_PROFILE: profile, ...more }
    expect((await withProfile<BackendOptions>({ env })).endpoint).toBe(endpoint)
  })

  it('comes after the variables and the option, which an ignoring profile ignores too', async () => {
    const env = { ...base, AWS_PROFILE: 'minio', AWS_ENDPOINT_URL: 'http://variable.example' }
    expect(await withProfile({ env })).toEqual({ env })
    const endpoint = 'http://option.example'
    expect(await withProfile({ env, endpoint })).toEqual({ env, endpoint })
    const ignoring = await withProfile<BackendOptions>({ env: { ...env, AWS_PROFILE: 'ignoring' } })
    expect(ignoring.env['AWS_ENDPOINT_URL']).toBe('')
    expect(ignoring.endpoint).toBeUndefined()
  })
})

describe('a profile that is not there', () => {
  it('is named, and so is a section of services', async () => {
    for (const [name, text] of [
      ['typo', 'AWS profile typo'],
      ['torn', 'services nowhere'],
    ] as const) {
      const env = { ...base, AWS_PROFILE: name }
      const error = await failureOf(openBackend({ scheme: 's3', bucket: 'bucket' }, { env }))
      expect([error.code, error.message]).toEqual(['USAGE', expect.stringContaining(text)])
    }
  })

  it('is named where a token for a registry is asked for', async () => {
    const env = { ...base, AWS_PROFILE: 'typo' }
    const host = '123456789012.dkr.ecr.eu-west-1.amazonaws.com'
    expect((await failureOf(getRegistryCredential(host, { env }))).code).toBe('USAGE')
  })

  it('is no error where none is named, without any file', async () => {
    const env = {
      AWS_CONFIG_FILE: join(home, 'none'),
      AWS_SHARED_CREDENTIALS_FILE: join(home, 'no'),
    }
    expect(await withProfile({ env })).toEqual({ env })
  })
})
