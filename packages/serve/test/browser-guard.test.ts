import { describe, expect, it } from 'vitest'
import { type BrowserGuardOptions, createBrowserGuard } from '../src/browser-guard.ts'
import { type FakeRequest, fakeRequest } from './support/requests.ts'

function statusOf(options: Partial<BrowserGuardOptions>, request: FakeRequest): number | undefined {
  const guard = createBrowserGuard({ isOpen: false, allowHosts: [], ...options })
  return guard(fakeRequest(request))?.status
}

const host = (name: string): FakeRequest => ({ headers: { host: name } })

describe('an open server', () => {
  it.each([
    'localhost',
    'localhost:5732',
    'LOCALHOST:80',
    'registry.localhost:5732',
    '127.0.0.1:5732',
    '127.1.2.3',
    '[::1]:5732',
  ])('answers to %s', (name) => {
    expect(statusOf({ isOpen: true }, host(name))).toBeUndefined()
  })

  it.each([
    'evil.example',
    'localhost.evil.example',
    'localhostx',
    '127.0.0.1.nip.io',
    '0.0.0.0:5732',
    '10.0.0.1',
    '[::]',
    '[fe80::1]',
    'user@localhost',
    'localhost, evil.example',
    'localhost/evil',
    'localhost#evil',
    'evil.example\\@localhost',
    '',
  ])('refuses the name %j, that a page can have', (name) => {
    expect(statusOf({ isOpen: true }, host(name))).toBe(421)
    expect(statusOf({ isOpen: true }, { ...host(name), method: 'POST' })).toBe(421)
    expect(statusOf({ isOpen: true }, { ...host(name), url: '/token' })).toBe(421)
  })

  it('answers to names that it is told, without their ports', () => {
    const options = { isOpen: true, allowHosts: ['Registry.lan'] }
    expect(statusOf(options, host('registry.LAN:5732'))).toBeUndefined()
    expect(statusOf(options, host('registry.lan.:5732'))).toBeUndefined()
    expect(statusOf(options, host('xregistry.lan'))).toBe(421)
    const external = { isOpen: true, externalUrl: 'https://r.example' }
    expect(statusOf(external, host('r.example'))).toBeUndefined()
  })

  it.each(['/healthz', '/readyz', '/metrics', '/metrics?x=1'])('answers %s by any name', (url) => {
    expect(statusOf({ isOpen: true }, { ...host('10.1.2.3:5732'), url })).toBeUndefined()
    expect(statusOf({ isOpen: true }, { ...host('10.1.2.3:5732'), url: `/v2${url}` })).toBe(421)
  })
})

describe('every server', () => {
  const change = (headers: FakeRequest['headers'], method = 'POST'): FakeRequest => ({
    method,
    url: '/v2/app/blobs/uploads/',
    headers: { host: 'r.example:5732', ...headers },
  })

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'PURGE'])(
    'takes %s of what is no browser',
    (method) => {
      expect(statusOf({}, change({}, method))).toBeUndefined()
    },
  )

  it.each([
    'https://evil.example',
    'http://r.example.evil.example:5732',
    'http://r.example:5733',
    'http://r.example',
    'null',
    'file://',
    'chrome-extension://r.example:5732',
    'r.example:5732',
  ])('refuses changes of a page of %s', (origin) => {
    expect(statusOf({}, change({ origin }))).toBe(403)
    expect(statusOf({}, change({ origin }, 'GET'))).toBeUndefined()
  })

  it('refuses changes that a browser calls cross-site', () => {
    expect(statusOf({}, change({ 'sec-fetch-site': 'cross-site' }))).toBe(403)
    expect(statusOf({}, change({ 'sec-fetch-site': 'cross-site' }, 'DELETE'))).toBe(403)
    expect(statusOf({}, change({ 'sec-fetch-site': 'same-origin' }))).toBeUndefined()
  })

  it('takes changes of its own pages, behind TLS too', () => {
    expect(statusOf({}, change({ origin: 'http://r.example:5732' }))).toBeUndefined()
    expect(statusOf({}, change({ host: 'r.example', origin: 'https://r.example' }))).toBeUndefined()
    const options = { externalUrl: 'https://registry.example' }
    expect(statusOf(options, change({ origin: 'https://registry.example' }))).toBeUndefined()
    expect(statusOf(options, change({ origin: 'http://r.example:5732' }))).toBe(403)
    expect(statusOf(options, change({ origin: 'http://registry.example' }))).toBe(403)
  })

  it('refuses a request with two hosts', () => {
    const headers = { host: ['localhost', 'evil.example'] } as unknown as FakeRequest['headers']
    expect(statusOf({}, { headers: headers ?? {} })).toBe(400)
  })
})
