import { isS3loError } from '@s3lo/core/plugin'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DockerConfig, encodeAuth } from '../../src/auth/docker-config.ts'

describe('DockerConfig', () => {
  it('gives a credential, nothing, or an error that names the file, with any content', () => {
    const host = fc.constantFrom('ghcr.io', 'https://ghcr.io/v1/', 'ghcr.io/team', '__proto__', '')
    const member = fc.constantFrom('auth', 'identitytoken', 'registrytoken', 'username', 'password')
    const entry = fc.oneof(fc.dictionary(member, fc.jsonValue()), fc.jsonValue())
    const document = fc.record(
      {
        auths: fc.oneof(fc.dictionary(host, entry), fc.jsonValue()),
        credHelpers: fc.oneof(fc.dictionary(host, fc.jsonValue()), fc.jsonValue()),
        credsStore: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(document, (value) => {
        const config = new DockerConfig({ path: 'config.json', document: value })
        try {
          const credential = config.credentialFor('ghcr.io', 'team/app')
          if (credential) expect(credential.source).toBe('config.json')
          const helper = config.helperFor('ghcr.io')
          expect(['string', 'undefined']).toContain(typeof helper)
        } catch (error) {
          if (!isS3loError(error, 'INTEGRITY')) throw error
          expect(error.message).toContain('config.json')
        }
      }),
    )
  })

  it('reads back every name and password that can be written', () => {
    const username = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((text) => !text.includes(':'))
    const password = fc.string({ unit: 'grapheme' }).filter((text) => !text.endsWith('\0'))
    fc.assert(
      fc.property(username, password, (name, secret) => {
        const document = { auths: { 'ghcr.io': { auth: encodeAuth(name, secret) } } }
        const found = new DockerConfig({ path: 'x', document }).credentialFor('ghcr.io')
        expect(found).toMatchObject({ kind: 'password', username: name, password: secret })
      }),
    )
  })
})
