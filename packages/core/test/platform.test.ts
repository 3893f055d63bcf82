import { describe, expect, it } from 'vitest'
import { isS3loError } from '../src/errors.ts'
import {
  choosePlatform,
  formatPlatform,
  hostPlatform,
  isAttestationPlatform,
  isCompatiblePlatform,
  matchesPlatform,
  parsePlatform,
} from '../src/oci/platform.ts'

const platforms = (...texts: string[]) => texts.map((text) => parsePlatform(text))

function choice(available: string[], requested: string | undefined, host = 'linux/riscv64') {
  try {
    const wanted = requested === undefined ? undefined : parsePlatform(requested)
    const { chosen, dropped } = choosePlatform(platforms(...available), wanted, parsePlatform(host))
    return { chosen: chosen && formatPlatform(chosen), dropped }
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

describe('matchesPlatform', () => {
  it.each([
    ['linux/amd64', 'linux/amd64', true],
    ['linux/arm/v7', 'linux/arm', true],
    ['linux/arm/v7', 'linux/arm/v7', true],
    ['linux/arm/v7', 'linux/arm/v6', false],
    ['linux/arm', 'linux/arm/v7', false],
    ['linux/arm64', 'linux/amd64', false],
    ['windows/amd64', 'linux/amd64', false],
  ])('an entry %s for %s: %s', (entry, wanted, expected) => {
    expect(matchesPlatform(parsePlatform(entry), parsePlatform(wanted))).toBe(expected)
  })

  it('never takes an entry without a platform', () => {
    expect(matchesPlatform(undefined, parsePlatform('linux/amd64'))).toBe(false)
  })
})

describe('isCompatiblePlatform', () => {
  it.each([
    ['linux/arm64', 'linux/arm64/v8', true],
    ['linux/arm64/v8', 'linux/arm64', true],
    ['linux/arm/v7', 'linux/arm/v7', true],
    ['linux/arm/v7', 'linux/arm/v6', false],
    ['linux/amd64', 'linux/arm64', false],
    ['windows/amd64', 'linux/amd64', false],
  ])('a config of %s for a request of %s: %s', (config, request, expected) => {
    expect(isCompatiblePlatform(parsePlatform(config), parsePlatform(request))).toBe(expected)
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
      { chosen: 'linux/arm', dropped: ['linux/amd64'] },
    ],
    [['linux/arm'], 'linux/arm/v7', { chosen: 'linux/arm/v7', dropped: [] }],
    [['linux/amd64', 'linux/arm64'], 'windows/amd64', 'NOT_FOUND'],
    [['linux/amd64'], 'linux/arm64', 'NOT_FOUND'],
    [[], 'linux/arm64', { chosen: 'linux/arm64', dropped: [] }],
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
    expect(choice(available, undefined, 'linux/arm')).toMatchObject({ chosen: 'linux/arm' })
  })

  it('asks when none of several is the host’s', () => {
    expect(choice(['linux/arm64', 'linux/s390x'], undefined, 'linux/amd64')).toBe('USAGE')
  })

  it('reports nothing when nothing is known', () => {
    expect(choice([], undefined)).toEqual({ chosen: undefined, dropped: [] })
  })
})
