import { describe, expect, it } from 'vitest'
import { parseImageConfig } from '../../src/oci/config.ts'
import { parseManifest } from '../../src/oci/document.ts'
import { parseStrictJson } from '../../src/oci/json.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const CONFIG = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"${DIGEST}","size":2}`
const LAYERS = `"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"${DIGEST}","size":2}]`

function codeOf(parse: () => unknown): unknown {
  try {
    return parse() && undefined
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

describe('JSON that is trusted', () => {
  it.each([
    ['twice in a row', '{"a":1,"a":1}'],
    ['apart', '{"a":1,"b":[{"a":1}],"a":1}'],
    ['deep inside', '[[{"x":{"b":1, "b" :2}}]]'],
    ['once escaped', String.raw`{"layers":1,"\u006cayers":2}`],
    ['with a quote in its name', String.raw`{"a\"b":1,"a\"b":2}`],
    ['with backslashes in its name', String.raw`{"a\\":1,"a\\":2}`],
    ['named as what every object has', '{"__proto__":1,"__proto__":2}'],
    ['without a name', '{"":1,"":2}'],
  ])('has no member %s', (_, text) => {
    expect(codeOf(() => parseStrictJson(bytes(text), 'it'))).toBe('INTEGRITY')
  })

  it.each([
    String.raw`{"a":"\"a\":1","b":"\\","c":"a","d":{"a":1},"e":{"a":1}}`,
    '["a","a",{"a":"a"},{"a":["a","a"]}]',
    '"a"',
    '{"constructor":1,"toString":2}',
    '{"a":1,"A":2}',
  ])('may say the same in different places: %s', (text) => {
    expect(parseStrictJson(bytes(text), 'it')).toEqual(JSON.parse(text))
  })
})

describe('members that differ by case only', () => {
  const other = (text: string): string => `{"schemaVersion":2,${CONFIG},${LAYERS},${text}}`

  it.each([
    ['of a manifest', other('"Layers":[]')],
    ['of a manifest that has no such member', other(`"Subject":{"digest":"${DIGEST}","size":1}`)],
    ['of a manifest, in letters of another kind', other('"manife\u017Ft\u017F":[]')],
    ['of a descriptor', other(`"subject":{"digest":"${DIGEST}","size":1,"Digest":"x"}`)],
    [
      'of a platform',
      `{"schemaVersion":2,"manifests":[{"digest":"${DIGEST}","size":1,"platform":{"os":"linux","architecture":"arm","OS":"windows"}}]}`,
    ],
  ])('are refused %s', (_, text) => {
    expect(codeOf(() => parseManifest(bytes(text), 'it'))).toBe('INTEGRITY')
  })

  it.each(['{"os":"linux","OS":"windows"}', '{"rootfs":{"diff_ids":[],"Diff_IDs":[]}}'])(
    'are refused in a config: %s',
    (text) => {
      expect(codeOf(() => parseImageConfig(bytes(text), 'it'))).toBe('INTEGRITY')
    },
  )

  it('are taken for what they are where names are free', () => {
    const text = other('"annotations":{"a":"1","A":"2","Layers":"3"},"unknown":{"Layers":1}')
    expect(parseManifest(bytes(text), 'it')).toMatchObject({ annotations: { a: '1', A: '2' } })
  })
})
