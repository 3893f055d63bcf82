import type * as Yaml from 'yaml'
import type { Node, Pair, YAMLMap, YAMLSeq } from 'yaml'
import { S3loError } from '../errors.ts'
import type { ConfigPath } from './config-path.ts'
import type { ConfigValue } from './config-types.ts'
import { at, setShape, type Shape, shapeOf } from './yaml-shape.ts'

/** Every scalar stays text: what is not edited must not be interpreted. */
const AS_WRITTEN = { schema: 'failsafe', uniqueKeys: false, prettyErrors: false } as const

/** A line is never folded. */
const UNFOLDED = { lineWidth: 0 } as const

const DEFAULT_STEP = 2

/** Where in a document a path ends. */
type Place =
  /** In an empty document. */
  | { readonly kind: 'root' }
  /** At a pair that is there. */
  | { readonly kind: 'pair'; readonly pair: Member }
  /** Below a pair that has no value. */
  | { readonly kind: 'empty'; readonly pair: Member; readonly rest: ConfigPath }
  /** Below a mapping that has no such key. */
  | { readonly kind: 'absent'; readonly map: YAMLMap<Node, Node | null>; readonly rest: ConfigPath }
  /** In `{…}`, whose text is written anew. */
  | { readonly kind: 'flow'; readonly map: YAMLMap; readonly rest: ConfigPath }

type Member = Pair<Node, Node | null>

/**
 * Changes one value in the text of a YAML document and leaves every other byte as it is: comments,
 * order, quotes, blank lines and keys of other programs. Each edit is checked against what the
 * document must then say; one that cannot be made so is refused with `UNSUPPORTED`.
 */
export class YamlEditor {
  readonly #yaml: typeof Yaml

  private constructor(yaml: typeof Yaml) {
    this.#yaml = yaml
  }

  /** Loads the parser. */
  static async open(): Promise<YamlEditor> {
    return new YamlEditor(await import('yaml'))
  }

  /** What the text says, for comparing. The text has been validated before. */
  shape(text: string): Shape {
    return shapeOf(this.#yaml, this.#parse(text))
  }

  /** The text with the value at a path, which is added where there is none. */
  set(text: string, path: ConfigPath, value: ConfigValue): string {
    const written = this.shape(this.#block(path, value, 0, DEFAULT_STEP, '\n'))
    const expected = setShape(this.shape(text), path, at(written, path))
    return this.#checked(path, expected, () => this.#set(text, path, value))
  }

  /** The text without a path's key and value; the text itself when there is none. */
  remove(text: string, path: ConfigPath): string {
    const shape = this.shape(text)
    if (at(shape, path) === undefined) return text
    return this.#checked(path, setShape(shape, path, undefined), () => this.#remove(text, path))
  }

  #checked(path: ConfigPath, expected: Shape, edit: () => string): string {
    const edited = edit()
    const document = this.#parse(edited)
    const actual = document.errors.length > 0 ? undefined : shapeOf(this.#yaml, document)
    if (JSON.stringify(actual) === JSON.stringify(expected)) return edited
    throw cannotEdit(path, 'would change the rest of the file')
  }

  #set(text: string, path: ConfigPath, value: ConfigValue): string {
    const document = this.#parse(text)
    const place = this.#locate(document.contents, path)
    const eol = text.includes('\r\n') ? '\r\n' : '\n'
    const block = (rest: ConfigPath, column: number): string =>
      this.#block(rest, value, column, this.#step(text, document.contents), eol)
    switch (place.kind) {
      case 'root':
        return insert(text, text.length, block(path, 0), eol)
      case 'pair':
        return this.#replace(text, place.pair, value, eol)
      case 'empty': {
        const column = columnOf(text, start(place.pair.key))
        const bare = this.#withoutNull(text, place.pair)
        const end = lineEnd(bare, afterColon(bare, place.pair))
        const step = this.#step(text, document.contents)
        return insert(bare, end, block(place.rest, column + step), eol)
      }
      case 'absent': {
        const [first] = place.map.items
        const column = first ? columnOf(text, start(first.key)) : 0
        return insert(
          text,
          lineEnd(text, this.#end(text, place.map)),
          block(place.rest, column),
          eol,
        )
      }
      case 'flow':
        return this.#setInFlow(text, place.map, place.rest, this.#inline(value))
    }
  }

  #remove(text: string, path: ConfigPath): string {
    const place = this.#locate(this.#parse(text).contents, path)
    if (place.kind === 'flow') {
      place.map.deleteIn(place.rest)
      return this.#rewriteFlow(text, place.map)
    }
    if (place.kind !== 'pair') throw cannotEdit(path, 'comes from somewhere else')
    const from = lineStart(text, start(place.pair.key))
    return splice(text, from, lineEnd(text, this.#pairEnd(text, place.pair)), '')
  }

  #parse(text: string): Yaml.Document.Parsed {
    return this.#yaml.parseDocument(text, AS_WRITTEN)
  }

  #locate(contents: Node | null, path: ConfigPath): Place {
    if (!contents || this.#isNull(contents)) return { kind: 'root' }
    let node: Node = contents
    for (let depth = 0; ; depth++) {
      const [key, ...below] = path.slice(depth)
      if (key === undefined) throw cannotEdit(path, 'is not a value')
      this.#assertOwn(node, path)
      if (!this.#yaml.isMap<Node, Node | null>(node)) throw cannotEdit(path, 'is in no mapping')
      const rest: ConfigPath = [key, ...below]
      if (node.flow === true) return { kind: 'flow', map: node, rest }
      const pair = this.#find(node, key)
      if (!pair) return { kind: 'absent', map: node, rest }
      const [next, ...further] = below
      if (next === undefined) {
        if (pair.value) this.#assertOwn(pair.value, path)
        return { kind: 'pair', pair }
      }
      if (this.#isNull(pair.value)) return { kind: 'empty', pair, rest: [next, ...further] }
      node = pair.value
    }
  }

  /** A node that an alias names, here or elsewhere, does not belong to one image alone. */
  #assertOwn(node: Node, path: ConfigPath): void {
    if (this.#yaml.isAlias(node)) throw cannotEdit(path, 'is shared through an alias')
    if ('anchor' in node && node.anchor !== undefined) {
      throw cannotEdit(path, 'is shared through an anchor')
    }
  }

  #find(map: YAMLMap<Node, Node | null>, key: string): Member | undefined {
    return map.items.find((pair) => this.#yaml.isScalar(pair.key) && pair.key.source === key)
  }

  #isNull(node: Node | null): node is null {
    if (node === null) return true
    const scalar = this.#yaml.isScalar(node) && node.type === 'PLAIN' && !node.tag && !node.anchor
    return scalar && /^(?:~|null|Null|NULL)?$/.test(node.source ?? '')
  }

  #replace(text: string, pair: Member, value: ConfigValue, eol: string): string {
    const node = pair.value
    if (this.#isNull(node)) {
      const bare = this.#withoutNull(text, pair)
      const colon = afterColon(bare, pair)
      return splice(bare, colon, colon, ` ${this.#inline(value)}`)
    }
    if (this.#yaml.isSeq(node) && node.flow !== true && Array.isArray(value)) {
      return this.#replaceItems(text, node, value, eol)
    }
    const [from = 0, to = 0] = node.range ?? []
    // The text of a block scalar (`|`) ends with its last line.
    const last = text.slice(from, to).endsWith('\n') ? eol : ''
    return splice(text, from, to, this.#inline(value) + last)
  }

  #replaceItems(text: string, list: YAMLSeq, items: readonly ConfigValue[], eol: string): string {
    const column = columnOf(text, start(list))
    const lines = this.#yaml.stringify(items, UNFOLDED)
    const from = lineStart(text, start(list))
    const to = lineEnd(text, this.#end(text, list))
    return splice(text, from, to, indent(lines, column, eol))
  }

  #setInFlow(text: string, map: YAMLMap, path: ConfigPath, value: string): string {
    const old = map.getIn(path, true)
    if (this.#yaml.isScalar(old) && old.range && !this.#isNull(old) && /^[\w.-]+$/.test(value)) {
      return splice(text, old.range[0], old.range[1], value)
    }
    map.setIn(path, this.#parse(value).contents)
    return this.#rewriteFlow(text, map)
  }

  #rewriteFlow(text: string, map: YAMLMap): string {
    // What stands after the closing brace stays where it is.
    map.comment = null
    const document = new this.#yaml.Document(null, AS_WRITTEN)
    const [from = 0, to = 0] = map.range ?? []
    const padded = /^\{\s/.test(text.slice(from, to))
    return splice(text, from, to, this.#text(Object.assign(document, { contents: map }), padded))
  }

  #inline(value: ConfigValue): string {
    const document = new this.#yaml.Document(value)
    const { contents } = document
    if (this.#yaml.isCollection(contents)) contents.flow = true
    return this.#text(document, false)
  }

  #text(document: Pick<Yaml.Document, 'toString'>, padded: boolean): string {
    return document.toString({ ...UNFOLDED, flowCollectionPadding: padded }).trimEnd()
  }

  #block(path: ConfigPath, value: ConfigValue, column: number, step: number, eol: string): string {
    let nested: ConfigValue = value
    for (const key of path.toReversed()) nested = { [key]: nested }
    return indent(this.#yaml.stringify(nested, { ...UNFOLDED, indent: step }), column, eol)
  }

  /** Without a written null (`~`), so that something can take its place. */
  #withoutNull(text: string, pair: Member): string {
    const [from = 0, to = 0] = pair.value?.range ?? []
    return from < to ? splice(text, from, to, '') : text
  }

  /** The offset after the last character that is content: comments below do not count. */
  #end(text: string, node: Node): number {
    if (this.#yaml.isMap<Node, Node | null>(node) && node.flow !== true) {
      const last = node.items.at(-1)
      if (last) return this.#pairEnd(text, last)
    }
    if (this.#yaml.isSeq<Node>(node) && node.flow !== true) {
      const last = node.items.at(-1)
      if (last) return this.#end(text, last)
    }
    return node.range?.[1] ?? text.length
  }

  #pairEnd(text: string, pair: Member): number {
    const colon = afterColon(text, pair)
    const bare = pair.value === null || pair.value.range?.[0] === pair.value.range?.[1]
    return bare || pair.value === null ? colon : Math.max(colon, this.#end(text, pair.value))
  }

  /** How far the document indents: the first nested mapping tells. */
  #step(text: string, contents: Node | null): number {
    let step: number | undefined
    this.#yaml.visit(contents, {
      Pair: (_key, pair) => {
        if (!this.#yaml.isNode(pair.key) || !this.#yaml.isMap(pair.value)) return undefined
        const [first] = pair.value.items
        if (pair.value.flow === true || !this.#yaml.isNode(first?.key)) return undefined
        step = columnOf(text, start(first.key)) - columnOf(text, start(pair.key))
        return this.#yaml.visit.BREAK
      },
    })
    return step !== undefined && step > 0 ? step : DEFAULT_STEP
  }
}

function cannotEdit(path: ConfigPath, why: string): S3loError {
  const message = `s3lo.yaml: ${path.join('.')} cannot be changed here: it ${why}`
  return new S3loError('UNSUPPORTED', message, { hint: 'change the file by hand' })
}

function start(node: Node): number {
  return node.range?.[0] ?? 0
}

function afterColon(text: string, { key }: Member): number {
  return text.indexOf(':', key.range?.[1] ?? 0) + 1
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1
}

function columnOf(text: string, offset: number): number {
  return offset - lineStart(text, offset)
}

/** The start of the line after the one where content ends; a block scalar ends there already. */
function lineEnd(text: string, offset: number): number {
  if (text[offset - 1] === '\n') return offset
  const newline = text.indexOf('\n', offset)
  return newline < 0 ? text.length : newline + 1
}

function insert(text: string, offset: number, lines: string, eol: string): string {
  const broken = offset > 0 && text[offset - 1] !== '\n' ? eol : ''
  return splice(text, offset, offset, broken + lines)
}

function splice(text: string, from: number, to: number, replacement: string): string {
  return text.slice(0, from) + replacement + text.slice(to)
}

function indent(lines: string, column: number, eol: string): string {
  const margin = ' '.repeat(column)
  return lines
    .trimEnd()
    .split('\n')
    .map((line) => margin + line + eol)
    .join('')
}
