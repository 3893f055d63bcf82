import { ForeignAnswerError } from '@s3lo/core/transfer'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escapeXml, parseXml, textOf } from '../src/xml.ts'

const foreign = (text: string): void =>
  expect(() => parseXml(text), text).toThrow(ForeignAnswerError)

describe('a document', () => {
  it('is elements with their text, in order', () => {
    const root = parseXml(
      '\uFEFF<?xml version="1.0" encoding="UTF-8"?>\n<!-- by a service -->\n' +
        '<List xmlns="http://s3.example/doc/"  a=\'1\'><Key >a &amp; b</Key><Key/><Owner>\n<ID>7</ID></Owner></List>\n',
    )
    expect(root.name).toBe('List')
    expect(root.children.map(({ name, text }) => [name, text])).toEqual([
      ['Key', 'a & b'],
      ['Key', ''],
      ['Owner', '\n'],
    ])
    expect(textOf(root, 'Key')).toBe('a & b')
    expect(textOf(root, 'Other')).toBeUndefined()
    expect(textOf(root.children[2]!, 'ID')).toBe('7')
  })

  it('resolves the five entities and numbers, and no other name', () => {
    expect(parseXml('<a>&lt;&gt;&quot;&apos;&amp;amp;&#10;&#x1F600;</a>').text).toBe(
      `<>"'&amp;\n\u{1f600}`,
    )
    for (const entity of [
      '&nbsp;',
      '&',
      '&;',
      '&#;',
      '&#x110000;',
      '&#99999999;',
      '&constructor;',
    ]) {
      foreign(`<a>${entity}</a>`)
    }
  })

  it('may have sections, comments and instructions within, and ends of lines of any kind', () => {
    expect(parseXml('<a>x<![CDATA[<&amp;>]]><!-- <b> --><?go <b> ?>\r\ny\rz</a>').text).toBe(
      'x<&amp;>\ny\nz',
    )
  })

  it.each([
    '',
    'text',
    '<a>',
    '<a></b>',
    '<a></ab>',
    '<ab></a>',
    '<a/><b/>',
    '<a/>text',
    '<a b></a>',
    '<a b=c></a>',
    '<a b="<"></a>',
    '<s:a></s:a>',
    '<!DOCTYPE a><a/>',
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    '<a><![CDATA[</a>',
    '<a><!-- </a>',
    '<a><?x </a>',
    '< a/>',
    '<1/>',
    `${'<a>'.repeat(99)}${'</a>'.repeat(99)}`,
  ])('is none: %s', (text) => foreign(text))

  it('holds any text that is escaped, and nothing but that', () => {
    const content = fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed())
    const property = fc.property(content, (text) => {
      const escaped = escapeXml(text)
      expect(parseXml(`<a>${escaped}</a>`).text).toBe(text)
      expect(escaped).not.toMatch(/[<>"'\r\n]|&(?!#?\w+;)/)
    })
    fc.assert(property, { numRuns: 500 })
  })

  it('that is damaged is none or another one, and never an error of another kind', () => {
    const whole = '<?xml version="1.0"?><a b="c"><d>&amp;e</d><![CDATA[f]]><g/></a>'
    const property = fc.property(
      fc.nat(whole.length),
      fc.nat(4),
      fc.string({ maxLength: 4 }),
      (at, length, text) => {
        try {
          parseXml(whole.slice(0, at) + text + whole.slice(at + length))
        } catch (error) {
          expect(error).toBeInstanceOf(ForeignAnswerError)
        }
      },
    )
    fc.assert(property, { numRuns: 1000 })
  })
})
