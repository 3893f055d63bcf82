import { describe, expect, it } from 'vitest'
import {
  fullImageName,
  fullNameOf,
  isSameImageName,
  parseImageName,
} from '../src/image/image-name.ts'

const digest = `sha256:${'a'.repeat(64)}`

describe('an image name', () => {
  it.each([
    ['alpine', { name: 'alpine', tag: 'latest' }, 'docker.io/library/alpine:latest'],
    ['alpine:3.23', { name: 'alpine', tag: '3.23' }, 'docker.io/library/alpine:3.23'],
    ['team/app:v1', { name: 'team/app', tag: 'v1' }, 'docker.io/team/app:v1'],
    ['localhost/app:v1', { name: 'localhost/app', tag: 'v1' }, 'localhost/app:v1'],
    [
      'localhost:5000/app',
      { name: 'localhost:5000/app', tag: 'latest' },
      'localhost:5000/app:latest',
    ],
    ['ghcr.io/a/b__c:x', { name: 'ghcr.io/a/b__c', tag: 'x' }, 'ghcr.io/a/b__c:x'],
    [
      'index.docker.io/alpine:3',
      { name: 'index.docker.io/alpine', tag: '3' },
      'docker.io/library/alpine:3',
    ],
    [`app@${digest}`, { name: 'app', digest }, `docker.io/library/app@${digest}`],
    [`app:v1@${digest}`, { name: 'app', digest }, `docker.io/library/app@${digest}`],
  ])('is read from %s', (text, reference, full) => {
    expect(parseImageName(text)).toEqual(reference)
    expect(fullImageName(parseImageName(text))).toBe(full)
  })

  it.each(['./image.tar', '/srv/image', '../x', 'Image.TAR', 'C:\\image'])(
    'is not the path of an archive, which is written otherwise: %s',
    (text) => {
      const parse = (): unknown => parseImageName(text)
      expect(parse).toThrow(
        expect.objectContaining({
          code: 'INVALID_REFERENCE',
          hint: expect.stringContaining('docker-archive:FILE'),
        }),
      )
    },
  )

  it('may be an image id', () => {
    expect(parseImageName(digest)).toEqual({ name: '', digest })
  })

  it('is the same however much of it is spelled out', () => {
    expect(isSameImageName('alpine:3', 'docker.io/library/alpine:3')).toBe(true)
    expect(isSameImageName('alpine', 'alpine:latest')).toBe(true)
    expect(isSameImageName('alpine:3', 'localhost/alpine:3')).toBe(false)
    expect(isSameImageName('???', 'alpine')).toBe(false)
  })

  it('is told from a plain tag', () => {
    expect(fullNameOf('v1')).toBeUndefined()
    expect(fullNameOf('v1.2')).toBeUndefined()
    expect(fullNameOf('app:v1')).toBe('docker.io/library/app:v1')
    expect(fullNameOf('host:5000/app:v1')).toBe('host:5000/app:v1')
  })
})
