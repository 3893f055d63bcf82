import { describe, expect, it } from 'vitest'
import { createLogInPace } from '../../src/auth/log-in-pace.ts'

function paceAt(clock: { now: number }) {
  return createLogInPace(() => clock.now)
}

describe('the pace of log-ins', () => {
  it('lets ten fail at once, and then one each six seconds', () => {
    const clock = { now: 1_000_000 }
    const pace = paceAt(clock)
    for (let i = 0; i < 10; i++) {
      expect(pace.waitOf('192.0.2.1')).toBe(0)
      pace.failed('192.0.2.1')
    }
    expect(pace.waitOf('192.0.2.1')).toBe(6)
    clock.now += 6_000
    expect(pace.waitOf('192.0.2.1')).toBe(0)
    pace.failed('192.0.2.1')
    expect(pace.waitOf('192.0.2.1')).toBe(6)
    clock.now += 60_000
    for (let i = 0; i < 9; i++) pace.failed('192.0.2.1')
    expect(pace.waitOf('192.0.2.1')).toBe(0)
  })

  it('tells addresses apart, and takes a /64 of IPv6 for one', () => {
    const pace = paceAt({ now: 0 })
    for (let i = 0; i < 10; i++) pace.failed(`2001:db8::${i}:1`)
    expect(pace.waitOf('2001:0DB8:0:0:ffff::1')).toBe(6)
    expect(pace.waitOf('2001:db8:0:1::1')).toBe(0)
    expect(pace.waitOf('192.0.2.1')).toBe(0)
    for (let i = 0; i < 10; i++) pace.failed('::ffff:192.0.2.2')
    expect(pace.waitOf('192.0.2.2')).toBe(6)
    for (let i = 0; i < 10; i++) pace.failed('fe80::1%eth0')
    expect(pace.waitOf('fe80::2%eth1')).toBe(6)
  })

  it('keeps a bounded number of addresses', () => {
    const pace = paceAt({ now: 0 })
    for (let i = 0; i < 10; i++) pace.failed('192.0.2.1')
    for (let i = 0; i < 10_000; i++) pace.failed(`10.0.${i >> 8}.${i & 255}`)
    expect(pace.waitOf('192.0.2.1')).toBe(0)
  })
})
