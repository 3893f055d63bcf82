import { generateKeyPairSync, scryptSync } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isS3loError } from '@s3lo/core'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKeyPair, openPublicKey, openSigner, PublicKey } from '../src/index.ts'
import { decryptPrivateKey, encryptPrivateKey } from '../src/keys/key-file.ts'
import { formatPem, parsePem } from '../src/keys/pem.ts'
import { goldenKey, keysOfEveryKind } from './world.ts'

/** What cosign 2.5 wrote for the password `pw`, and its public key. */
const COSIGN_KEY = `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJkVFhtdktkZ1I2SnhqNUlDSXYrdXVTdkpNYldWZEg1
U1hlcStUT3NaR2VNPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiI0WXFFc0ZpRmJvWkdNeHpqaFAwMlZveXYyc0ZWNGZ4VyJ9LCJj
aXBoZXJ0ZXh0IjoiQWxwb1VCeFlpeklQTHBGVWx4V0JMdStpSm5jY0IvVFVhUWIy
R3B3Z3plaXRJdWFTalhYQjVWcjZjRlE1Qy9kRG16U0xWeDRyQ1p5cE1WV09Wc2NK
WXRIRGJoamZEWjJoOTZYeWU0bEg4NlBwVDlLQm94bFlDbExJeGM5YWlxVnlpRUh2
SXptMmJBbUc4L25RMmxJN3JwbkVrTmhRM2cwTktBeTlmYjdLc0xNVStVK3dXL2ZT
enBldmtGZmpxWDI3cHhsUE42eU8rWjdRaHc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
`
const COSIGN_PUB = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsPEtJSFB+OAddnLpCaaCPdiSYOyd
eCF2P6/gUWhFHIOrQbbg+OOAsETyLqaZ8nBd0mvC65W0aOfC5t85t8FKKQ==
-----END PUBLIC KEY-----
`

/** A certificate of the golden key, made by OpenSSL. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBfjCCASOgAwIBAgIUWysQJLTDLFU6ywrnKzHBeUQylDEwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJczNsby10ZXN0MB4XDTI2MTEyMTExMTM1NloXDTM2MTExODEx
MTM1NlowFDESMBAGA1UEAwwJczNsby10ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8maQa
6elWKLxk8vGyDC1+n1F3o8KU1EYimaNTMFEwHQYDVR0OBBYEFBqVaVebzjKalC0H
acnAtWQxVjcQMB8GA1UdIwQYMBaAFBqVaVebzjKalC0HacnAtWQxVjcQMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAK30J7a3JCOd6lhPetKofRC8
fZxzOtzvqPyCV4N9kh+1AiEAhnh+j9gsSmbp+w5yqTQlDzO7kON6nJgJiUHjjjMc
VXQ=
-----END CERTIFICATE-----
`

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-keys-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
}

/** A key file with scrypt parameters of the test's choice. */
function keyFile(params: Record<string, unknown>, changes: Record<string, unknown> = {}): string {
  const file = {
    kdf: { name: 'scrypt', params: { N: 16, r: 8, p: 1, ...params }, salt: 'AAAA' },
    cipher: { name: 'nacl/secretbox', nonce: Buffer.alloc(24).toString('base64') },
    ciphertext: 'AAAA',
    ...changes,
  }
  return formatPem('ENCRYPTED SIGSTORE PRIVATE KEY', Buffer.from(JSON.stringify(file)))
}

describe('a key file', () => {
  it('that cosign wrote opens, and is the other half of its public key', async () => {
    const key = await decryptPrivateKey(COSIGN_KEY, 'pw', 'cosign.key')
    expect(new PublicKey(key).toPem()).toBe(COSIGN_PUB)
    const old = COSIGN_KEY.replaceAll('SIGSTORE', 'COSIGN')
    expect(new PublicKey(await decryptPrivateKey(old, 'pw', 'cosign.key')).toPem()).toBe(COSIGN_PUB)
  })

  it('does not open with another password', async () => {
    const opened = decryptPrivateKey(COSIGN_KEY, 'PW', 'cosign.key')
    expect(await codeOf(opened)).toBe('UNAUTHORIZED')
  })

  it('that was written here opens by the documented format', async () => {
    const pem = await encryptPrivateKey(goldenKey(), 'secret', { n: 16 })
    const file: unknown = JSON.parse(Buffer.from(parsePem(pem, 'key').der).toString('utf8'))
    const { kdf, cipher, ciphertext } = file as Record<string, Record<string, string>> & {
      ciphertext: string
    }
    expect(kdf).toMatchObject({ name: 'scrypt', params: { N: 16, r: 8, p: 1 } })
    expect(cipher).toMatchObject({ name: 'nacl/secretbox' })
    const bytes = (text: unknown): Buffer => Buffer.from(String(text), 'base64')
    const derived = scryptSync('secret', bytes(kdf!['salt']), 32, { N: 16, r: 8, p: 1 })
    const box = xsalsa20poly1305(derived, bytes(cipher!['nonce']))
    const der = goldenKey().export({ type: 'pkcs8', format: 'der' })
    expect(Buffer.from(box.decrypt(bytes(ciphertext))).equals(der)).toBe(true)
  })

  it('asks for the work that cosign asks for', async () => {
    const { privateKey } = await createKeyPair('')
    const { der } = parsePem(privateKey, 'key')
    expect(Buffer.from(der).toString('utf8')).toContain('"params":{"N":65536,"r":8,"p":1}')
  })

  it.each(Object.entries(keysOfEveryKind()))('holds a key of %s', async (_, key) => {
    const pem = await encryptPrivateKey(key, 'p', { n: 16 })
    expect(new PublicKey(await decryptPrivateKey(pem, 'p', 'k')).id).toBe(new PublicKey(key).id)
  })

  it.each([
    [{ N: 2 ** 21 }],
    [{ N: 2 ** 20, r: 16 }],
    [{ N: 2 ** 20 + 1 }],
    [{ N: 1 }],
    [{ N: 0 }],
    [{ N: 15 }],
    [{ r: 0 }],
    [{ r: 2 ** 40 }],
    [{ p: 0 }],
    [{ p: 17 }],
  ])('that asks for too much work or none is refused: %o', async (params) => {
    const opened = decryptPrivateKey(keyFile(params), '', 'k')
    expect(await codeOf(opened)).toBe('UNSUPPORTED')
  })

  it.each([
    ['is no PEM', 'hello'],
    ['has no JSON in it', formatPem('ENCRYPTED SIGSTORE PRIVATE KEY', Buffer.from('{'))],
    ['has a text for N', keyFile({ N: '16' })],
    ['has a negative N', keyFile({ N: -16 })],
    ['has a short nonce', keyFile({}, { cipher: { name: 'nacl/secretbox', nonce: 'AAAA' } })],
    ['has bad base64', keyFile({}, { ciphertext: 'AAA' })],
    ['is a public key', COSIGN_PUB],
    ['is not encrypted', String(goldenKey().export({ type: 'pkcs8', format: 'pem' }))],
  ])('that %s is a wrong key, no crash', async (_, pem) => {
    expect(await codeOf(decryptPrivateKey(pem, '', 'k'))).toBe('USAGE')
  })
})

describe('a key reference', () => {
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name)
    await writeFile(path, text)
    return path
  }

  it('is a file, with the password of COSIGN_PASSWORD before one that is asked for', async () => {
    const path = await write('cosign.key', COSIGN_KEY)
    const env = { COSIGN_PASSWORD: 'pw' }
    const asked: string[] = []
    const password = (what: string): Promise<string> => {
      asked.push(what)
      return Promise.resolve('pw')
    }
    expect((await openSigner(path, { env, password })).publicKey.toPem()).toBe(COSIGN_PUB)
    expect(asked).toEqual([])
    expect((await openSigner(path, { env: {}, password })).publicKey.toPem()).toBe(COSIGN_PUB)
    expect(asked).toEqual([`Password of ${path}`])
    expect(await codeOf(openSigner(path, { env: {} }))).toBe('UNAUTHORIZED')
  })

  it('is the public half of a private key to who verifies', async () => {
    const path = await write('half.key', COSIGN_KEY)
    const key = await openPublicKey(path, { env: { COSIGN_PASSWORD: 'pw' } })
    expect(key.toPem()).toBe(COSIGN_PUB)
  })

  it('is a public key or a certificate to who verifies', async () => {
    const env = {}
    expect((await openPublicKey(await write('a.pub', COSIGN_PUB), { env })).toPem()).toBe(
      COSIGN_PUB,
    )
    const certified = await openPublicKey(await write('c.pem', CERTIFICATE), { env })
    expect(certified.id).toBe(new PublicKey(goldenKey()).id)
    expect(await codeOf(openSigner(await write('b.pub', COSIGN_PUB), { env }))).toBe('USAGE')
  })

  it('is a key in the environment', async () => {
    const env = { KEY: COSIGN_KEY, COSIGN_PASSWORD: 'pw' }
    expect((await openSigner('env://KEY', { env })).publicKey.toPem()).toBe(COSIGN_PUB)
    expect(await codeOf(openSigner('env://OTHER', { env }))).toBe('NOT_FOUND')
  })

  it.each([
    ['a missing file', 'no-such-file.key', 'NOT_FOUND'],
    ['a folder', tmpdir(), 'IO'],
    ...(process.platform === 'win32' ? [] : [['a file without an end', '/dev/zero', 'USAGE']]),
    ['an unknown scheme', 'k8s://namespace/key', 'USAGE'],
    ['a name of every object', 'constructor://x', 'USAGE'],
    ['a key of Vault without a name', 'hashivault://', 'USAGE'],
    ['a key of Vault with a path', 'hashivault://../sys/seal', 'USAGE'],
    ['a key of AWS without a name', 'awskms:///', 'USAGE'],
    ['a key of AWS with credentials', 'awskms://user:secret@host/key', 'USAGE'],
    ['a key of Google that is none', 'gcpkms://projects/p', 'USAGE'],
    ['a key of Azure at another host', 'azurekms://example.com/key', 'USAGE'],
  ])('that is %s is refused', async (_, keyRef, code) => {
    expect(await codeOf(openPublicKey(keyRef, { env: {} }))).toBe(code)
  })

  it('that cannot be read is an error of reading', async () => {
    if (process.getuid?.() === 0) return
    const path = await write('locked.key', COSIGN_KEY)
    await chmod(path, 0)
    expect(await codeOf(openSigner(path, { env: {} }))).toBe('IO')
  })

  it.each([
    ['RSA of 1024 bits', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey],
    ['another curve', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey],
    ['another kind', generateKeyPairSync('x25519').publicKey],
  ])('of %s is refused', async (_, key) => {
    const pem = String(key.export({ type: 'spki', format: 'pem' }))
    const path = await write('odd.pub', pem)
    expect(await codeOf(openPublicKey(path, { env: {} }))).toBe('UNSUPPORTED')
  })
})
