import { ForeignAnswerError } from '@s3lo/core/transfer'

/** An element of a document: what stands in it directly, and the elements in it. */
export interface XmlElement {
  readonly name: string
  /** All text between its tags, entities resolved; not that of the elements in it. */
  readonly text: string
  readonly children: readonly XmlElement[]
}

/** More than the documents of S3 have. */
const DEEPEST = 12
const NAME = /[A-Za-z_][\w.-]*(?=[\s/>])/y
const ATTRIBUTES = /(?:\s+[\w.:-]+\s*=\s*(?:"[^<"]*"|'[^<']*'))*\s*(\/?)>/y
const ENTITY = /&(?:#(\d{1,7})|#x([\da-fA-F]{1,6})|(amp|lt|gt|quot|apos));|&/g
const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}

/**
 * Reads the documents of S3, and of XML 1.0 only what they use: elements without prefixes, text, CDATA,
 * comments; attributes and instructions are passed over. There is no document type, so no entity but
 * the five named ones. Throws `ForeignAnswerError` for anything else. The caller bounds the length.
 */
export function parseXml(text: string): XmlElement {
  return new Reader(text.includes('\r') ? text.replaceAll(/\r\n?/g, '\n') : text).document()
}

/** The text of the first element of that name; `undefined` where there is none. */
export function textOf({ children }: XmlElement, name: string): string | undefined {
  return children.find((child) => child.name === name)?.text
}

/** The namespace of the documents of S3. */
export const XMLNS = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** The elements of that name in another one. */
export function elementsOf({ children }: XmlElement, name: string): readonly XmlElement[] {
  return children.filter((child) => child.name === name)
}

const ESCAPES = new Map(Object.entries(NAMED).map(([name, character]) => [character, name]))

/** Text as it stands in an element: no character of it ends the element or is changed by a reader. */
export function escapeXml(text: string): string {
  return text.replaceAll(
    /[&<>"'\r\n\u0085\u2028]/g,
    (found) => `&${ESCAPES.get(found) ?? `#${found.charCodeAt(0)}`};`,
  )
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): XmlElement {
    this.#blank()
    if (!this.#takes('<')) throw malformed()
    const root = this.#element(0)
    this.#blank()
    if (this.#at !== this.#text.length) throw malformed()
    return root
  }

  /** After its `<`. */
  #element(depth: number): XmlElement {
    if (depth > DEEPEST) throw malformed()
    const name = this.#matched(NAME)[0]
    const [, isEmpty] = this.#matched(ATTRIBUTES)
    if (isEmpty) return { name, text: '', children: [] }
    const children: XmlElement[] = []
    let text = ''
    for (;;) {
      text += this.#characters()
      if (this.#takes('</')) break
      if (this.#takes('<![CDATA[')) text += this.#until(']]>')
      else if (this.#takes('<!--')) this.#until('-->')
      else if (this.#takes('<?')) this.#until('?>')
      else if (this.#takes('<')) children.push(this.#element(depth + 1))
      else throw malformed()
    }
    if (!this.#takes(name)) throw malformed()
    this.#spaces()
    if (!this.#takes('>')) throw malformed()
    return { name, text, children }
  }

  #characters(): string {
    const end = this.#text.indexOf('<', this.#at)
    if (end === -1) throw malformed()
    const raw = this.#text.slice(this.#at, end)
    this.#at = end
    return raw.includes('&') ? raw.replaceAll(ENTITY, resolve) : raw
  }

  /** What may stand before the root element and after it. */
  #blank(): void {
    for (;;) {
      this.#spaces()
      if (this.#takes('<?')) this.#until('?>')
      else if (this.#takes('<!--')) this.#until('-->')
      else return
    }
  }

  #spaces(): void {
    while (/[\s\uFEFF]/.test(this.#text.charAt(this.#at))) this.#at += 1
  }

  #takes(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  #until(token: string): string {
    const end = this.#text.indexOf(token, this.#at)
    if (end === -1) throw malformed()
    const found = this.#text.slice(this.#at, end)
    this.#at = end + token.length
    return found
  }

  #matched(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (!found) throw malformed()
    this.#at = pattern.lastIndex
    return found
  }
}

function resolve(entity: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return NAMED[name] ?? ''
  const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal)
  if (Number.isNaN(code) || code > 0x10_ff_ff) throw malformed()
  return String.fromCodePoint(code)
}

function malformed(): ForeignAnswerError {
  return new ForeignAnswerError('expected a document of S3, got text that is none')
}
