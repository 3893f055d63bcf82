import { digestOf } from '@s3lo/core'
import { expect, test } from 'vitest'
import { encodeIndex, encodeManifest, encodeMap } from '../../src/index/canonical-json.ts'

test('texts are escaped as Go escapes them', () => {
  const content = encodeMap({ a: '<b>&\u2028é"\\\n\t\u0001' })
  expect(content).toHaveLength(49)
  expect(digestOf(content)).toBe(
    'sha256:9ab5535c41f43b3c1e030ddb2a2daf66f49922726cc39424d6362b2afe06a680',
  )
})

test('members come in the order of the specification, from any order', () => {
  const layer = {
    size: 1,
    annotations: { b: '2', a: '1', '10': '0' },
    digest: 'd',
    mediaType: 'm',
    urls: [],
    data: '',
  }
  const manifest = {
    annotations: {},
    layers: [layer],
    config: { size: 2, mediaType: 'c', digest: 'e' },
    mediaType: '',
    schemaVersion: 2,
  }
  expect(encodeManifest(manifest).toString()).toBe(
    '{"schemaVersion":2,"config":{"mediaType":"c","digest":"e","size":2},"layers":[{"mediaType":"m","digest":"d","size":1,"annotations":{"10":"0","a":"1","b":"2"}}]}',
  )
})

test('platforms have their own order and unknown members follow', () => {
  const platform = { variant: 'v8', os: 'linux', 'os.features': ['f'], architecture: 'arm64', x: 1 }
  expect(
    encodeIndex({
      manifests: [{ platform, size: 0, digest: '', mediaType: '' }],
      y: null,
    }).toString(),
  ).toBe(
    '{"manifests":[{"mediaType":"","digest":"","size":0,"platform":{"architecture":"arm64","os":"linux","os.features":["f"],"variant":"v8","x":1}}],"y":null}',
  )
})

test('keys are in the order of their bytes', () => {
  expect(encodeMap({ '\u{1F600}': '', '\uFFFD': '', __x__: '' }).toString()).toBe(
    '{"__x__":"","\uFFFD":"","\u{1F600}":""}',
  )
})

test('a document that is nested without end is refused', () => {
  let value: object = {}
  for (let i = 0; i < 1000; i++) value = { value }
  expect(() => encodeMap(value)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
})
