import { describe, expect, it } from 'vitest'
import {
  linkKey,
  linksPrefix,
  memberKey,
  parseLinkKey,
  parseRepositoryKey,
  recordKey,
  referrerEntryKey,
  tagEventKey,
  tagEventsPrefix,
} from '../../src/layout/repository-keys.ts'

const A = `sha256:${'a'.repeat(64)}`
const B = `sha512:${'b'.repeat(128)}`
const ID = '0123456789abcdef0123456789abcdef'

/** Repositories that are called like the folders of others. */
const REPOSITORIES = [
  'app',
  'team/app',
  'app/_manifests',
  'app/_history/v1',
  `app/_referrers/sha256-${'a'.repeat(64)}`,
  'app/_members',
]

describe('keys of a repository', () => {
  it.each(REPOSITORIES)('reads back what it writes for %s', (repository) => {
    expect(parseRepositoryKey(recordKey(repository, A))).toEqual({
      kind: 'record',
      repository,
      digest: A,
    })
    expect(parseRepositoryKey(memberKey(repository, B))).toEqual({
      kind: 'member',
      repository,
      digest: B,
    })
    expect(parseRepositoryKey(referrerEntryKey(repository, A, B))).toEqual({
      kind: 'referrer-entry',
      repository,
      subject: A,
      digest: B,
    })
    for (const tag of ['v1', '_manifests', '_members', `sha256-${'a'.repeat(64)}`]) {
      const event = { kind: 'tag-event', repository, tag, at: 1_700_000_000_123, id: ID }
      expect(parseRepositoryKey(tagEventKey(repository, tag, event.at, ID))).toEqual(event)
    }
    const link = { repository, digest: A, expires: 1_700_000_000_000, id: ID }
    expect(parseLinkKey(linkKey(link))).toEqual(link)
  })

  it('spells keys as the layout says', () => {
    const file = `sha256-${'a'.repeat(64)}`
    expect(recordKey('team/app', A)).toBe(`.s3lo/repositories/team/app/_manifests/${file}.json`)
    expect(referrerEntryKey('app', A, A)).toBe(
      `.s3lo/repositories/app/_referrers/${file}/${file}.json`,
    )
    expect(memberKey('app', A)).toBe(`.s3lo/repositories/app/_members/${file}`)
    expect(tagEventKey('app', 'v1', 5, ID)).toBe(
      `.s3lo/repositories/app/_history/v1/000000000000005-${ID}.json`,
    )
    expect(linkKey({ repository: 'app', digest: A, expires: 7, id: ID })).toBe(
      `.s3lo/links/app/${file}/000000000000007-${ID}`,
    )
  })

  it('gives what happened to a tag in the order of time', () => {
    const times = [9, 10, 1_700_000_000_000, 9_999_999_999_999]
    const keys = times.map((at) => tagEventKey('app', 'v1', at, ID))
    expect(keys.toSorted()).toEqual(keys)
    expect(keys.every((key) => key.startsWith(tagEventsPrefix('app', 'v1')))).toBe(true)
  })

  it('knows a link of a nested repository from one of its own', () => {
    const nested = `app/sha256-${'a'.repeat(64)}`
    const key = linkKey({ repository: nested, digest: B, expires: 1, id: ID })
    expect(key.startsWith(linksPrefix('app', A))).toBe(true)
    expect(parseLinkKey(key)?.repository).toBe(nested)
  })

  it.each([
    '.s3lo/repositories/app/_manifests/sha256-abc.json',
    `.s3lo/repositories/_manifests/sha256-${'a'.repeat(64)}.json`,
    `.s3lo/repositories/app/_manifests/sha256-${'a'.repeat(64)}`,
    `.s3lo/repositories/app/_history/v1/12-${ID}.json`,
    `.s3lo/repositories/app/_history/000000000000005-${ID}.json`,
    `.s3lo/repositories/app/_other/sha256-${'a'.repeat(64)}.json`,
    `repositories/app/_manifests/sha256-${'a'.repeat(64)}.json`,
  ])('leaves out %s', (key) => {
    expect(parseRepositoryKey(key)).toBeUndefined()
  })

  it('refuses what is no digest', () => {
    expect(() => recordKey('app', '../x')).toThrowError(
      expect.objectContaining({ code: 'INTEGRITY' }),
    )
  })
})
