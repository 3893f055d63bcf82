import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readCertificates } from '../src/certificates.ts'
import { failuresOf, StatusError } from '../src/registry-error.ts'
import { codeOf } from './code-of.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-certificates-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true })
})

it('a file of certificates is read as it is, and none need be named', async () => {
  const path = join(folder, 'ca.pem')
  const text = 'Issuer: us\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'
  await writeFile(path, text)
  expect(await readCertificates(path)).toBe(text)
  expect(await readCertificates(undefined)).toBeUndefined()
})

it('a file that is not there, or holds no certificate, is reported before any request', async () => {
  expect(await codeOf(readCertificates(join(folder, 'none')))).toBe('NOT_FOUND')
  expect(await codeOf(readCertificates(folder))).toBe('IO')
  const path = join(folder, 'key.pem')
  await writeFile(path, '-----BEGIN PUBLIC KEY-----\n')
  expect(await codeOf(readCertificates(path))).toBe('USAGE')
})

it('a registry that was asked without TLS and is not understood may want TLS', () => {
  const error = new StatusError(400, { get: () => undefined }, Buffer.from('not for a TLS server'))
  const errorOf = (plainHttp: boolean): unknown =>
    failuresOf('localhost:5000', plainHttp)(error, 'x').error
  expect(errorOf(true)).toMatchObject({ hint: expect.stringContaining('--tls-ca') })
  expect(errorOf(false)).not.toHaveProperty('hint', expect.anything())
})
