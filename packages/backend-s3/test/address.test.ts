import { describe, expect, it } from 'vitest'
import { addressOf } from '../src/address.ts'

const aws = { isAws: true, name: 'aws' }

function urlOf(...about: Parameters<typeof addressOf>): string | undefined {
  const address = addressOf(...about)
  return address && `${address.origin.origin}${address.path}`
}

describe('the address of a bucket', () => {
  it.each([
    ['images', 'eu-west-1', 'https://images.s3.eu-west-1.amazonaws.com/'],
    ['images', 'us-gov-west-1', 'https://images.s3.us-gov-west-1.amazonaws.com/'],
    ['images', 'cn-north-1', 'https://images.s3.cn-north-1.amazonaws.com.cn/'],
    ['images-s3alias', 'us-east-1', 'https://images-s3alias.s3.us-east-1.amazonaws.com/'],
    ['my.images', 'us-east-1', 'https://s3.us-east-1.amazonaws.com/my.images/'],
    ['My_Images', 'us-east-1', 'https://s3.us-east-1.amazonaws.com/My_Images/'],
    ['192.168.5.4', 'us-east-1', 'https://s3.us-east-1.amazonaws.com/192.168.5.4/'],
  ])('%s at AWS in %s', (bucket, region, url) => {
    expect(urlOf(aws, bucket, region)).toBe(url)
  })

  it.each([
    ['images--use1-az4--x-s3', 'us-east-1'],
    ['images-abc--op-s3', 'us-east-1'],
    ['images', 'us-iso-east-1'],
    ['images', 'aws-global'],
    ['images', 'evil.example/'],
  ])('%s in %s is known to the SDK alone', (bucket, region) => {
    expect(urlOf(aws, bucket, region)).toBeUndefined()
  })

  it.each([
    ['http://127.0.0.1:9000', 'images', 'http://127.0.0.1:9000/images/'],
    ['https://s3.example/gateway', 'My_Images', 'https://s3.example/gateway/My_Images/'],
    ['http://[::1]:9000', 'images', 'http://[::1]:9000/images/'],
  ])('at %s is in the path', (url, bucket, expected) => {
    expect(urlOf({ url, isAws: false, name: url }, bucket, 'garage')).toBe(expected)
  })

  it('at an endpoint of AWS is in the name of the host, which may have dots without TLS', () => {
    const plain = { url: 'http://s3.amazonaws.com:81', isAws: true, name: '' }
    const vpc = {
      url: 'https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com',
      isAws: true,
      name: '',
    }
    expect(urlOf(plain, 'my.images', 'us-east-1')).toBe('http://my.images.s3.amazonaws.com:81/')
    expect(urlOf(vpc, 'images', 'us-east-1')).toBe(
      'https://images.bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com/',
    )
  })
})
