import { describe, expect, it } from 'vitest'
import { AddressGuard } from '../src/address-guard.ts'
import { kindOfAddress } from '../src/addresses.ts'
import { parseRealm } from '../src/auth/realm.ts'

const METADATA = [
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd20:ce::254',
  'fe80::1',
  'fe80::1%eth0',
]
const LEADING_TO_METADATA = [
  '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe',
  '0:0:0:0:0:ffff:a9fe:a9fe',
  '::169.254.169.254',
  '::ffff:0:169.254.169.254',
  '64:ff9b::169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::a9fe:a9fe',
  '64:ff9b:1:a9fe:a9:fe00::',
  '64:ff9b:1:ffff:a9:fea9:fe00:0',
  '2002:a9fe:a9fe::1',
  '2002:6464:64c8::',
  '2001:0:a9fe:a9fe::1',
  '2001:0:808:808:0:0:5601:5601',
  '2606:4700::5efe:a9fe:a9fe',
  '::ffff:168.63.129.16',
  '64:ff9b::c000:c0',
]
const RESERVED = [
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '255.255.255.255',
  'ff02::1',
  '100::1',
]
const PRIVATE = [
  '10.1.2.3',
  '0.0.0.0',
  '100.64.0.1',
  '127.0.0.1',
  '172.31.0.1',
  '192.168.1.1',
  '::',
  '::1',
  'fd00::1',
  '::ffff:10.0.0.1',
  '64:ff9b::127.0.0.1',
  '2002:7f00:1::',
  '64:ff9b:1::c0a8:1',
]
const PUBLIC = [
  '8.8.8.8',
  '168.63.129.15',
  '2606:4700::1111',
  '64:ff9b::8.8.8.8',
  '::ffff:8.8.8.8',
  '2002:808:808::1',
]

describe('an address', () => {
  it.each([...METADATA, ...LEADING_TO_METADATA, ...RESERVED])('%s is forbidden', (address) => {
    expect(kindOfAddress(address)).toBe('forbidden')
  })

  it.each(PRIVATE)('%s is private', (address) => {
    expect(kindOfAddress(address)).toBe('private')
  })

  it.each(PUBLIC)('%s is public', (address) => {
    expect(kindOfAddress(address)).toBe('public')
  })

  it('that is none is forbidden', () => {
    const texts = ['', 'name', '1.2.3', '::g', '::1%2é', '1.2.3.4%eth0']
    for (const text of texts) expect(kindOfAddress(text)).toBe('forbidden')
  })
})

it.each(LEADING_TO_METADATA)('no registry may send us to %s, and no login either', (address) => {
  const url = `https://[${address}]/`
  const guard = new AddressGuard(new URL('http://localhost:5000'))
  expect(() => guard.assertAllowed(new URL(url))).toThrow('own network')
  const registry = { host: 'localhost:5000', plainHttp: true }
  expect(() => parseRealm(url, undefined, registry)).toThrow('own network')
})
