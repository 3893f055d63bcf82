import { describe, expect, it } from 'vitest'
import { AddressGuard } from '../src/address-guard.ts'
import { HttpTransport } from '../src/http-transport.ts'
import { codeOf } from './code-of.ts'
import { MemoryRegistry } from './memory-registry.ts'

describe('addresses', () => {
  const guardOf = (url: string, resolved: string): AddressGuard =>
    new AddressGuard(new URL(url), (_host, _options, done) => done(null, resolved, 4))

  const lookup = (guard: AddressGuard, kind: 'lookupOwn' | 'lookupForeign'): Promise<string> =>
    new Promise((resolve, reject) => {
      guard[kind]('name', {}, (error, address) => {
        if (error) reject(error)
        else resolve(typeof address === 'string' ? address : '')
      })
    })

  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '[::1]',
    '192.168.1.1',
    'localhost',
    '169.254.1.1',
    '[fd00::1]',
  ])('like %s are no place that a public registry may name', (host) => {
    const guard = guardOf('https://registry.example.com', '203.0.113.1')
    expect(() => guard.assertAllowed(new URL(`https://${host}/`))).toThrow('own network')
  })

  it('are judged by what names resolve to', async () => {
    const guard = guardOf('https://registry.example.com', '10.0.0.1')
    expect(await codeOf(lookup(guard, 'lookupForeign'))).toBe('FORBIDDEN')
  })

  it('of the own network are open to a registry that is reached there', async () => {
    const server = await MemoryRegistry.start()
    const port = server.host.replace(/.*:/, '')
    const url = new URL(`http://registry.example.com:${port}/v2/`)
    const guard = new AddressGuard(url, (_host, { all }, done) => {
      if (all) done(null, [{ address: '127.0.0.1', family: 4 }])
      else done(null, '127.0.0.1', 4)
    })
    const transport = new HttpTransport({ env: {}, guard })
    const elsewhere = new URL('https://10.0.0.5/')
    expect(() => guard.assertAllowed(elsewhere)).toThrow('own network')
    const { body } = await transport.send(url, { method: 'GET', headers: {} })
    body.resume()
    expect(() => guard.assertAllowed(elsewhere)).not.toThrow()
    await transport.close()
    await server.stop()
  })

  it('of the own network are not opened by what the name of a registry says now and then', async () => {
    const answers = ['203.0.113.1', '10.9.9.9', '203.0.113.1']
    const guard = new AddressGuard(
      new URL('https://registry.example.com'),
      (_host, _options, done) => done(null, answers.shift() ?? '', 4),
    )
    for (let count = answers.length; count > 0; count -= 1) await lookup(guard, 'lookupOwn')
    expect(() => guard.assertAllowed(new URL('https://10.0.0.5/'))).toThrow('own network')
  })

  it('of the own network are closed again to a registry that is reached elsewhere', () => {
    const guard = guardOf('https://registry.example.com', '203.0.113.1')
    const elsewhere = new URL('https://10.0.0.5/')
    guard.learn('10.0.0.1')
    expect(() => guard.assertAllowed(elsewhere)).not.toThrow()
    guard.learn('203.0.113.1')
    expect(() => guard.assertAllowed(elsewhere)).toThrow('own network')
  })

  it('that are link-local are open to no one', async () => {
    const guard = guardOf('http://localhost:5000', '169.254.169.254')
    expect(await codeOf(lookup(guard, 'lookupForeign'))).toBe('FORBIDDEN')
  })
})
