import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { Digester, digestOf, isDigest, parseDigest } from '../../src/oci/digest.ts'

const EMPTY = {
  sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  sha512:
    'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce' +
    '47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e',
} as const

function code(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
  return undefined
}

describe('digests', () => {
  it.each(['sha256', 'sha512'] as const)('knows %s', (algorithm) => {
    const digest = `${algorithm}:${EMPTY[algorithm]}`
    expect(isDigest(digest)).toBe(true)
    expect(parseDigest(digest)).toEqual({ algorithm, hex: EMPTY[algorithm] })
    expect(digestOf(new Uint8Array(), algorithm)).toBe(digest)
    expect(new Digester(algorithm).digest()).toBe(digest)
  })

  it('hashes in pieces as it does at once', () => {
    const digester = new Digester('sha512')
    for (const byte of Buffer.from('content')) digester.update(Uint8Array.of(byte))
    expect(digester.digest()).toBe(`sha512:${createHash('sha512').update('content').digest('hex')}`)
  })

  it('uses sha256 unless told otherwise', () => {
    expect(digestOf(new Uint8Array())).toBe(`sha256:${EMPTY.sha256}`)
    expect(new Digester().digest()).toBe(`sha256:${EMPTY.sha256}`)
  })

  it.each([
    '',
    ':',
    'sha256',
    'sha256:',
    EMPTY.sha256,
    `sha256:${EMPTY.sha256.slice(1)}`,
    `sha256:${EMPTY.sha256}0`,
    `sha256:${EMPTY.sha512}`,
    `sha512:${EMPTY.sha256}`,
    `sha256:${EMPTY.sha256.toUpperCase()}`,
    `SHA256:${EMPTY.sha256}`,
    `sha256:${'g'.repeat(64)}`,
    `sha256:${EMPTY.sha256}\n`,
    ` sha256:${EMPTY.sha256}`,
    `sha256:${'/..'.repeat(21)}/`,
    `md5:${EMPTY.sha256.slice(32)}`,
    `sha384:${EMPTY.sha256.slice(32)}${EMPTY.sha256}`,
    `__proto__:${EMPTY.sha256}`,
    `constructor:${EMPTY.sha256}`,
    `toString:${EMPTY.sha256}`,
  ])('refuses %j', (text) => {
    expect(isDigest(text)).toBe(false)
    expect(code(() => parseDigest(text))).toBe('INTEGRITY')
  })

  it('does not repeat an endless text in its message', () => {
    try {
      parseDigest('x'.repeat(1_000_000))
    } catch (error) {
      expect(String(error).length).toBeLessThan(300)
    }
    expect.hasAssertions()
  })
})
