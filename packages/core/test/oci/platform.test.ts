import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import {
  formatExactPlatform,
  formatPlatform,
  hostPlatform,
  isAttestationPlatform,
  normalizePlatform,
  parsePlatform,
} from '../../src/oci/platform.ts'
import { bestFor, choosePlatform, isWantedPlatform, runsOn } from '../../src/oci/platform-choice.ts'

const platforms = (...texts: string[]) => texts.map((text) => ({ platform: parsePlatform(text) }))

function choice(available: string[], requested: string | undefined, host = 'linux/riscv64') {
  try {
    const wanted = requested === undefined ? undefined : parsePlatform(requested)
    const { chosen, dropped } = choosePlatform(platforms(...available), wanted, parsePlatform(host))
    return { chosen: chosen && formatPlatform(chosen.platform), dropped }
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
}

describe('hostPlatform', () => {
  it('is a linux one on every host that runs linux containers', () => {
    const host = hostPlatform()
    expect(host.variant).toBeUndefined()
    expect(host.architecture).not.toMatch(/^(x64|ia32)$/)
    expect(formatPlatform(host)).toContain('/')
    if (['linux', 'darwin', 'win32'].includes(process.platform)) expect(host.os).toBe('linux')
  })
})

describe('parsePlatform', () => {
  it.each([
    ['linux/amd64', { os: 'linux', architecture: 'amd64' }],
    ['linux/arm64', { os: 'linux', architecture: 'arm64' }],
    ['linux/arm/v7', { os: 'linux', architecture: 'arm', variant: 'v7' }],
    ['windows/amd64', { os: 'windows', architecture: 'amd64' }],
  ])('reads %s', (text, platform) => {
    expect(parsePlatform(text)).toStrictEqual(platform)
    expect(formatPlatform(parsePlatform(text))).toBe(text)
  })

  it.each(['', 'linux', 'linux/', '/amd64', 'linux/arm/', 'linux//v7', 'linux/arm/v7/x', '//'])(
    'refuses %j',
    (text) => {
      let error: unknown
      try {
        parsePlatform(text)
      } catch (thrown) {
        error = thrown
      }
      expect(isS3loError(error, 'USAGE')).toBe(true)
    },
  )
})

describe('formatPlatform', () => {
  it('calls what no machine runs an attestation', () => {
    for (const none of [
      undefined,
      { os: '', architecture: '' },
      { os: '', architecture: 'amd64' },
      { os: 'unknown', architecture: 'unknown' },
    ]) {
      expect(formatPlatform(none)).toBe('(attestation)')
      expect(isAttestationPlatform(formatPlatform(none))).toBe(true)
    }
    expect(isAttestationPlatform('unknown/unknown')).toBe(true)
    expect(isAttestationPlatform('linux/amd64')).toBe(false)
  })
})

describe('platforms by other names', () => {
  it.each([
    ['linux/x86_64', 'linux/amd64'],
    ['linux/x86-64', 'linux/amd64'],
    ['Linux/AMD64', 'linux/amd64'],
    ['linux/i386', 'linux/386'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/aarch64/v8', 'linux/arm64/v8'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['macos/arm64', 'darwin/arm64'],
  ])('%s is %s', (text, expected) => {
    expect(formatPlatform(parsePlatform(text))).toBe(expected)
  })

  it.each([
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v2', 'linux/amd64/v2'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm64/v9.0', 'linux/arm64/v9'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
  ])('%s has the normal form %s', (text, expected) => {
    expect(formatPlatform(normalizePlatform(parsePlatform(text)))).toBe(expected)
  })

  it('may name the version of Windows', () => {
    const platform = parsePlatform('windows(10.0.17763)/amd64')
    expect(platform).toEqual({ os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763' })
    expect(formatExactPlatform(platform)).toBe('windows(10.0.17763)/amd64')
    for (const text of ['windows()/amd64', 'windows(10/amd64', 'windows(10)(11)/amd64']) {
      expect(() => parsePlatform(text)).toThrow(/not a platform/)
    }
  })
})

describe('the best of several platforms', () => {
  it.each([
    ['linux/amd64', ['linux/amd64/v3', 'linux/amd64'], 'linux/amd64'],
    ['linux/amd64', ['linux/amd64/v3', 'linux/amd64/v1'], 'linux/amd64/v1'],
    ['linux/amd64', ['linux/amd64/v3', 'linux/amd64/v2'], 'linux/amd64/v2'],
    ['linux/amd64/v4', ['linux/amd64', 'linux/amd64/v3', 'linux/amd64/v2'], 'linux/amd64/v3'],
    ['linux/amd64/v2', ['linux/amd64/v3', 'linux/amd64'], 'linux/amd64'],
    ['linux/amd64/v2', ['linux/amd64/v3'], undefined],
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v8'], 'linux/arm/v6'],
    ['linux/arm', ['linux/arm/v6', 'linux/arm/v7'], 'linux/arm/v7'],
    ['linux/arm/v6', ['linux/arm/v7'], undefined],
    ['linux/arm', ['linux/arm/v8'], 'linux/arm/v8'],
    ['linux/arm/v7', ['linux/arm'], 'linux/arm'],
    ['linux/arm64', ['linux/arm/v7', 'linux/arm64/v8'], 'linux/arm64/v8'],
    [
      'linux/arm64/v9.2',
      ['linux/arm64', 'linux/arm64/v8.7', 'linux/arm64/v8.8'],
      'linux/arm64/v8.7',
    ],
    ['linux/arm64/v8.2', ['linux/arm64', 'linux/arm64/v8.1'], 'linux/arm64/v8.1'],
    ['linux/aarch64', ['linux/amd64', 'linux/arm64'], 'linux/arm64'],
    ['linux/amd64', ['linux/386'], undefined],
    ['linux/arm64', ['linux/arm/v7'], undefined],
    ['linux/amd64', ['windows/amd64'], undefined],
  ])('for %s of %j is %s', (wanted, offered, expected) => {
    const best = bestFor(platforms(...offered), parsePlatform(wanted))
    expect(best && formatPlatform(best.platform)).toBe(expected)
  })

  it.each([
    ['linux/amd64', ['linux/386'], 'linux/386'],
    ['linux/amd64', ['linux/386', 'linux/amd64'], 'linux/amd64'],
    ['linux/arm64', ['linux/arm/v6', 'linux/arm/v7'], 'linux/arm/v7'],
    ['linux/arm', ['linux/arm64'], undefined],
  ])('for a machine of %s, of %j, is %s', (wanted, offered, expected) => {
    const best = bestFor(platforms(...offered), parsePlatform(wanted), 'machine')
    expect(best && formatPlatform(best.platform)).toBe(expected)
  })

  it('of Windows has the build that is asked for, in its last revision', () => {
    const [old, older] = ['windows(10.0.17763.9)/amd64', 'windows(10.0.17763.1)/amd64']
    const offered = platforms(older, old, 'windows(10.0.20348.1)/amd64')
    const best = (wanted: string): string | undefined => {
      const found = bestFor(offered, parsePlatform(wanted))
      return found && formatExactPlatform(found.platform)
    }
    expect(best('windows(10.0.17763)/amd64')).toBe(old)
    expect(best('windows(10.0.17763.1)/amd64')).toBe(older)
    expect(best('windows(10.0.26100)/amd64')).toBeUndefined()
    expect(() => best('windows/amd64')).toThrow(expect.objectContaining({ code: 'USAGE' }))
    expect(bestFor(offered.slice(2), parsePlatform('windows/amd64'))).toBe(offered[2])
  })
})

describe('what an image of one platform', () => {
  it.each([
    ['linux/arm64', 'linux/arm64/v8', true, true],
    ['linux/arm64/v8', 'linux/arm64', true, true],
    ['linux/arm/v7', 'linux/arm', true, true],
    ['linux/arm/v6', 'linux/arm', true, true],
    ['linux/arm', 'linux/arm/v7', true, true],
    ['linux/arm/v6', 'linux/arm/v7', true, false],
    ['linux/arm/v7', 'linux/arm/v6', false, false],
    ['linux/amd64/v3', 'linux/amd64', true, true],
    ['linux/amd64', 'linux/arm64', false, false],
    ['windows/amd64', 'linux/amd64', false, false],
  ])('%s is where %s is wanted: it runs %s, it is the very one %s', (offered, wanted, runs, is) => {
    const [a, b] = [parsePlatform(offered), parsePlatform(wanted)]
    expect({ runs: runsOn(a, b), is: isWantedPlatform(a, b) }).toEqual({ runs, is })
  })
})

describe('choosePlatform', () => {
  it.each([
    [
      ['linux/amd64', 'linux/arm64'],
      'linux/arm64',
      { chosen: 'linux/arm64', dropped: ['linux/amd64'] },
    ],
    [
      ['linux/arm/v7', 'linux/amd64'],
      'linux/arm',
      { chosen: 'linux/arm/v7', dropped: ['linux/amd64'] },
    ],
    [['linux/arm'], 'linux/arm/v7', { chosen: 'linux/arm', dropped: [] }],
    [['linux/amd64', 'linux/arm64'], 'windows/amd64', 'NOT_FOUND'],
    [['linux/amd64'], 'linux/arm64', 'NOT_FOUND'],
    [[], 'linux/arm64', { chosen: undefined, dropped: [] }],
    [
      ['linux/s390x', 'linux/arm64', 'linux/amd64', 'linux/arm64'],
      'linux/s390x',
      { chosen: 'linux/s390x', dropped: ['linux/amd64', 'linux/arm64'] },
    ],
  ])('of %j takes the %s that was asked for, or fails', (available, requested, expected) => {
    expect(choice(available, requested)).toEqual(expected)
  })

  it('takes the only one, even if it is not the host’s', () => {
    expect(choice(['linux/arm64'], undefined, 'linux/amd64')).toEqual({
      chosen: 'linux/arm64',
      dropped: [],
    })
  })

  it('takes the host’s of several', () => {
    const available = ['linux/arm64', 'linux/amd64', 'linux/arm/v7']
    expect(choice(available, undefined, 'linux/amd64')).toEqual({
      chosen: 'linux/amd64',
      dropped: ['linux/arm/v7', 'linux/arm64'],
    })
    expect(choice(available, undefined, 'linux/arm')).toMatchObject({ chosen: 'linux/arm/v7' })
  })

  it('asks when none of several is the host’s', () => {
    expect(choice(['linux/arm64', 'linux/s390x'], undefined, 'linux/amd64')).toBe('USAGE')
  })

  it('reports nothing when nothing is known', () => {
    expect(choice([], undefined)).toEqual({ chosen: undefined, dropped: [] })
  })
})
