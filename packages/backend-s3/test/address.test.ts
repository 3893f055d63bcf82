import { describe, expect, it } from 'vitest'
import { addressOf, isDirectory, realRegion } from '../src/address.ts'

const aws = { isAws: true, name: 'aws' }
const plain = { isFips: false, isDualStack: false }

function urlOf(
  endpoint: Parameters<typeof addressOf>[0],
  bucket: string,
  region: string,
  kind = plain,
): string {
  const { origin, path, service } = addressOf(endpoint, bucket, region, kind)
  return `${origin.origin}${path}${service === 's3' ? '' : ` for ${service}`}`
}

describe('the address of a bucket', () => {
  it.each([
    ['images', 'eu-west-1', 'https://images.s3.eu-west-1.amazonaws.com/'],
    ['images', 'us-gov-west-1', 'https://images.s3.us-gov-west-1.amazonaws.com/'],
    ['images', 'cn-north-1', 'https://images.s3.cn-north-1.amazonaws.com.cn/'],
    ['images', 'us-iso-east-1', 'https://images.s3.us-iso-east-1.c2s.ic.gov/'],
    ['images', 'us-isob-east-1', 'https://images.s3.us-isob-east-1.sc2s.sgov.gov/'],
    ['images', 'eusc-de-east-1', 'https://images.s3.eusc-de-east-1.amazonaws.eu/'],
    ['images-s3alias', 'us-east-1', 'https://images-s3alias.s3.us-east-1.amazonaws.com/'],
    ['my.images', 'us-east-1', 'https://s3.us-east-1.amazonaws.com/my.images/'],
    ['My_Images', 'us-east-1', 'https://s3.us-east-1.amazonaws.com/My_Images/'],
    ['192.168.5.4', 'us-east-1', 'https://s3.us-east-1.amazonaws.com/192.168.5.4/'],
  ])('%s at AWS in %s', (bucket, region, url) => {
    expect(urlOf(aws, bucket, region)).toBe(url)
  })

  it.each([
    [true, false, 'https://images.s3-fips.us-east-1.amazonaws.com/'],
    [false, true, 'https://images.s3.dualstack.us-east-1.amazonaws.com/'],
    [true, true, 'https://images.s3-fips.dualstack.us-east-1.amazonaws.com/'],
  ])('with FIPS: %s, of both kinds of IP: %s', (isFips, isDualStack, url) => {
    expect(urlOf(aws, 'images', 'us-east-1', { isFips, isDualStack })).toBe(url)
  })

  it.each([
    [
      'images--use1-az4--x-s3',
      plain,
      'https://images--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/ for s3express',
    ],
    [
      'images--use1-az4--xa-s3',
      { isFips: true, isDualStack: true },
      'https://images--use1-az4--xa-s3.s3express-fips-use1-az4.dualstack.us-east-1.amazonaws.com/ for s3express',
    ],
    [
      'images-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3',
      plain,
      'https://images-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3.op-0b1d075431d83bebd.s3-outposts.us-east-1.amazonaws.com/ for s3-outposts',
    ],
    [
      'images-e0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3',
      plain,
      'https://images-e0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3.ec2.s3-outposts.us-east-1.amazonaws.com/ for s3-outposts',
    ],
  ])('%s has a host of its own', (bucket, kind, url) => {
    expect(urlOf(aws, bucket, 'us-east-1', kind)).toBe(url)
  })

  it.each(['evil.example/', '../x', 'a b', ''])('in "%s" is none', (region) => {
    expect(() => urlOf(aws, 'images', region)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  it.each([
    ['http://127.0.0.1:9000', 'images', 'http://127.0.0.1:9000/images/'],
    ['https://s3.example/gateway', 'My_Images', 'https://s3.example/gateway/My_Images/'],
    ['http://[::1]:9000', 'images', 'http://[::1]:9000/images/'],
    ['http://127.0.0.1:9000', 'a--b-az1--x-s3', 'http://127.0.0.1:9000/a--b-az1--x-s3/'],
  ])('at %s is in the path', (url, bucket, expected) => {
    const endpoint = { url, isAws: false, name: url }
    expect(urlOf(endpoint, bucket, 'garage')).toBe(expected)
    expect(isDirectory(endpoint, bucket)).toBe(false)
  })

  it('at an endpoint of AWS is in the name of the host, which may have dots without TLS', () => {
    const http = { url: 'http://s3.amazonaws.com:81', isAws: true, name: '' }
    const vpc = {
      url: 'https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com',
      isAws: true,
      name: '',
    }
    expect(urlOf(http, 'my.images', 'us-east-1')).toBe('http://my.images.s3.amazonaws.com:81/')
    expect(urlOf(vpc, 'images', 'us-east-1')).toBe(
      'https://images.bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com/',
    )
  })
})

it('a region may be named in ways that are out of use', () => {
  expect(realRegion('eu-west-1')).toEqual({ region: 'eu-west-1', isFips: false })
  expect(realRegion('aws-global')).toEqual({ region: 'us-east-1', isFips: false })
  expect(realRegion('fips-us-gov-west-1')).toEqual({ region: 'us-gov-west-1', isFips: true })
  expect(realRegion('us-gov-west-1-fips')).toEqual({ region: 'us-gov-west-1', isFips: true })
})
