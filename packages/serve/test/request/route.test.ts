import { describe, expect, it } from 'vitest'
import { Refusal } from '../../src/answer/error.ts'
import { accessOf, parseRoute } from '../../src/request/route.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`

function codeOf(path: string): unknown {
  try {
    return parseRoute(path)
  } catch (error) {
    return error instanceof Refusal ? error.code : error
  }
}

describe('parseRoute', () => {
  it.each([
    ['/v2/', { kind: 'ping' }],
    ['/v2', { kind: 'ping' }],
    ['/v2/_catalog', { kind: 'catalog' }],
    ['/v2/a/tags/list', { kind: 'tags', repository: 'a' }],
    ['/v2/a/b/manifests/v1', { kind: 'manifest', repository: 'a/b', reference: 'v1' }],
    [`/v2/a/manifests/${DIGEST}`, { kind: 'manifest', repository: 'a', reference: DIGEST }],
    [
      `/v2/a/manifests/${DIGEST.replace(':', '%3A')}`,
      { kind: 'manifest', repository: 'a', reference: DIGEST },
    ],
    [`/v2/a/blobs/${DIGEST}`, { kind: 'blob', repository: 'a', digest: DIGEST }],
    [`/v2/a/referrers/${DIGEST}`, { kind: 'referrers', repository: 'a', digest: DIGEST }],
    ['/v2/a/b/blobs/uploads/', { kind: 'uploads', repository: 'a/b' }],
    ['/v2/a/blobs/uploads', { kind: 'uploads', repository: 'a' }],
    ['/v2/a/blobs/uploads/x-1', { kind: 'upload', repository: 'a', id: 'x-1' }],
  ])('reads %s', (path, route) => {
    expect(parseRoute(path)).toEqual(route)
  })

  it.each([
    ['/v2/a/manifests/manifests/v1', 'a/manifests'],
    ['/v2/tags/list/manifests/v1', 'tags/list'],
    ['/v2/a/blobs/uploads/manifests/v1', 'a/blobs/uploads'],
  ])('reads the name of a repository like an endpoint in %s', (path, repository) => {
    expect(parseRoute(path)).toEqual({ kind: 'manifest', repository, reference: 'v1' })
  })

  it.each(['/', '', '/v1/', '/v2/a', '/v2/a/b', '/v2/a/tags/other', '/v2x/', '/v2/uploads/x'])(
    'knows no endpoint %s',
    (path) => {
      expect(parseRoute(path)).toBeUndefined()
    },
  )

  it.each([
    ['/v2/A/manifests/v1', 'NAME_INVALID'],
    ['/v2/../manifests/v1', 'NAME_INVALID'],
    ['/v2/a%2fb/manifests/v1', 'NAME_INVALID'],
    ['/v2//manifests/v1', 'NAME_INVALID'],
    ['/v2/_x/tags/list', 'NAME_INVALID'],
    [`/v2/${'a'.repeat(256)}/tags/list`, 'NAME_INVALID'],
    ['/v2/manifests/v1', 'NAME_INVALID'],
    ['/v2/a/manifests/sha256:no', 'DIGEST_INVALID'],
    ['/v2/a/manifests/.v1', 'MANIFEST_INVALID'],
    ['/v2/a/manifests/%zz', 'MANIFEST_INVALID'],
    [`/v2/a/manifests/${'v'.repeat(129)}`, 'MANIFEST_INVALID'],
    ['/v2/a/blobs/v1', 'DIGEST_INVALID'],
    ['/v2/a/blobs/uploads/..', 'BLOB_UPLOAD_UNKNOWN'],
    ['/v2/a/blobs/uploads/%2e%2e', 'BLOB_UPLOAD_UNKNOWN'],
  ])('refuses %s as %s', (path, code) => {
    expect(codeOf(path)).toBe(code)
  })
})

describe('accessOf', () => {
  it.each([
    ['GET', '/v2/_catalog', { action: 'catalog' }],
    ['HEAD', '/v2/a/manifests/v1', { action: 'pull', repository: 'a' }],
    ['PUT', '/v2/a/manifests/v1', { action: 'push', repository: 'a' }],
    ['DELETE', '/v2/a/manifests/v1', { action: 'delete', repository: 'a' }],
    ['GET', '/v2/a/blobs/uploads/x', { action: 'push', repository: 'a' }],
    ['DELETE', '/v2/a/blobs/uploads/x', { action: 'push', repository: 'a' }],
    ['FOO', '/v2/a/manifests/v1', { action: 'push', repository: 'a' }],
  ])('of %s %s', (method, path, access) => {
    expect(accessOf(method, parseRoute(path)!)).toEqual(access)
  })

  it('asks for nothing in particular at /v2/', () => {
    expect(accessOf('GET', { kind: 'ping' })).toBeUndefined()
  })
})
