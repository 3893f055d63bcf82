import type * as Yaml from 'yaml'
import type { Alias, LineCounter, Node, ParsedNode, Scalar } from 'yaml'
import { S3loError } from '../errors.ts'

/** A file without aliases cannot reach this count in a mebibyte: more means that aliases multiply it. */
const MAX_VALUES = 1_000_000

/** Merge keys (`<<`) in merge keys, at most. */
const MAX_MERGES = 8

const NULLS: ReadonlySet<string> = new Set(['', '~', 'null', 'Null', 'NULL'])

/** As Go's YAML decoder reads a truth value: `true` only without quotes, `yes` with or without. */
const PLAIN_FLAGS = toFlags({ yes: 'true True TRUE', no: 'false False FALSE' })
const FLAGS = toFlags({ yes: 'y Y yes Yes YES on On ON', no: 'n N no No NO off Off OFF' })

/** A value in a document and how to name it in a message. */
export interface YamlValue {
  /** `undefined` for null. */
  readonly node: Node | undefined
  /** `images["app"].immutable` */
  readonly path: string
}

/** A document with its name, for messages. */
export interface YamlText {
  readonly name: string
  readonly content: Uint8Array
  /** Bytes. */
  readonly limit: number
}

/**
 * Reads foreign YAML into typed fields as strictly as Go's decoder does. Everything that is wrong
 * is `INTEGRITY`, naming the line and the key. The work is bounded, with any number of aliases.
 */
export class YamlReader {
  /** The whole document. */
  readonly root: YamlValue
  readonly #yaml: typeof Yaml
  readonly #name: string
  readonly #lines: LineCounter
  readonly #targets = new Map<Alias, Node>()
  #values = 0

  private constructor(yaml: typeof Yaml, name: string, text: string) {
    this.#yaml = yaml
    this.#name = name
    this.#lines = new yaml.LineCounter()
    this.root = { node: this.#parse(text), path: '' }
  }

  /** Parses a document, and loads the parser for it. Throws `INTEGRITY`. */
  static async open({ name, content, limit }: YamlText): Promise<YamlReader> {
    if (content.byteLength > limit) {
      throw new S3loError('INTEGRITY', `${name} is larger than ${limit} bytes`)
    }
    const text = decode(content, name)
    return new YamlReader(await import('yaml'), name, text)
  }

  /** The members of a mapping by key, none for null. Merge keys are followed. */
  mapping(value: YamlValue): ReadonlyMap<string, YamlValue> {
    return this.#members(value, MAX_MERGES)
  }

  /** The entries of a list that are not null, none for null. */
  list(value: YamlValue): readonly YamlValue[] {
    const node = this.#resolve(value.node)
    if (!node) return []
    if (!this.#yaml.isSeq<Node | null>(node)) throw this.error(value, 'is not a list')
    return node.items.flatMap((item, i) => {
      const entry = this.#resolve(item ?? undefined)
      return entry ? [{ node: entry, path: `${value.path}[${i}]` }] : []
    })
  }

  /** True for a list, with or without entries. */
  isList(value: YamlValue): boolean {
    return this.#yaml.isSeq(this.#resolve(value.node))
  }

  /** Any scalar, as it is written: `1.10` stays `1.10`. */
  text(value: YamlValue): string | undefined {
    return this.#scalar(value, 'a text')?.source
  }

  /** As {@link text}, but a mapping or list is `undefined` too. */
  scalarText(value: YamlValue): string | undefined {
    return this.#yaml.isScalar(this.#resolve(value.node)) ? this.text(value) : undefined
  }

  /** A whole number that is not negative and that a double holds exactly. */
  wholeNumber(value: YamlValue): number | undefined {
    const what = 'a whole number of 0 or more, without quotes'
    const scalar = this.#scalar(value, what)
    if (!scalar) return undefined
    const number = isPlain(scalar) ? toWholeNumber(scalar.source ?? '') : undefined
    if (number === undefined) throw this.error(value, `is ${show(scalar)}, not ${what}`)
    return number
  }

  flag(value: YamlValue): boolean | undefined {
    const scalar = this.#scalar(value, 'true or false')
    if (!scalar) return undefined
    const flag = toFlag(scalar)
    if (flag === undefined) throw this.error(value, `is ${show(scalar)}, not true or false`)
    return flag
  }

  /** An error about a value, to be thrown. */
  error({ node, path }: YamlValue, problem: string, cause?: unknown): S3loError {
    const offset = node?.range?.[0]
    const line = offset === undefined ? '' : ` line ${this.#lines.linePos(offset).line}`
    const subject = path === '' ? 'the document' : path
    return new S3loError('INTEGRITY', `${this.#name}${line}: ${subject} ${problem}`, {
      hint: this.#hint,
      cause,
    })
  }

  #parse(text: string): Node | undefined {
    const yaml = this.#yaml
    // Failsafe: every scalar stays text, to be read here by the type that its field has.
    // uniqueKeys and prettyErrors take quadratic time.
    const options = { schema: 'failsafe', uniqueKeys: false, prettyErrors: false } as const
    try {
      const document = yaml.parseDocument(text, { ...options, lineCounter: this.#lines })
      const [error] = document.errors
      if (error?.code === 'MULTIPLE_DOCS') {
        throw this.#malformed('there is a second document', error.pos[0], error)
      }
      if (error) throw this.#malformed(error.message, error.pos[0], error)
      this.#resolveAliases(document.contents)
      return document.contents ?? undefined
    } catch (cause) {
      if (cause instanceof S3loError) throw cause
      // Nesting deeper than the stack, in the main.
      throw new S3loError('INTEGRITY', `${this.#name} is not YAML that can be read`, { cause })
    }
  }

  #malformed(problem: string, offset: number, cause?: unknown): S3loError {
    const { line } = this.#lines.linePos(offset)
    const message = `${this.#name} line ${line}: not YAML: ${problem.slice(0, 200)}`
    return new S3loError('INTEGRITY', message, { hint: this.#hint, cause })
  }

  get #hint(): string {
    return `correct the file ${this.#name} there`
  }

  /** In one pass, where the parser's own way takes one for each alias. */
  #resolveAliases(contents: ParsedNode | null): void {
    const anchors = new Map<string, Node>()
    this.#yaml.visit(contents, {
      Alias: (_key, alias) => {
        const target = anchors.get(alias.source)
        if (!target) throw this.#malformed(`unknown anchor ${alias.source}`, alias.range?.[0] ?? 0)
        this.#targets.set(alias, target)
      },
      Value: (_key, node) => {
        if (node.anchor !== undefined) anchors.set(node.anchor, node)
      },
    })
  }

  /** The node itself or the one that its alias names; nothing for null. */
  #resolve(node: Node | undefined): Node | undefined {
    this.#values++
    if (this.#values > MAX_VALUES) {
      throw new S3loError(
        'INTEGRITY',
        `${this.#name} has too many values once aliases are followed`,
      )
    }
    const target = this.#yaml.isAlias(node) ? this.#targets.get(node) : node
    return this.#yaml.isScalar(target) && isNull(target) ? undefined : target
  }

  #members(value: YamlValue, merges: number): Map<string, YamlValue> {
    const node = this.#resolve(value.node)
    if (!node) return new Map()
    if (!this.#yaml.isMap<Node, Node | null>(node)) throw this.error(value, 'is not a mapping')
    const own = new Map<string, YamlValue>()
    const merged: YamlValue[] = []
    for (const pair of node.items) {
      const key = this.#key(pair.key, value)
      const member = { node: pair.value ?? undefined, path: join(value.path, key.text) }
      if (key.merges) merged.push(member)
      else if (own.has(key.text)) throw this.error({ ...member, node: pair.key }, 'is there twice')
      else own.set(key.text, member)
    }
    for (const member of merged) this.#merge(own, member, merges)
    return own
  }

  /** Adds what a merge key brings, one mapping or a list of them: what is there already stays. */
  #merge(own: Map<string, YamlValue>, member: YamlValue, merges: number): void {
    if (merges === 0) throw this.error(member, 'merges mappings that merge others, too deep')
    const node = this.#resolve(member.node)
    const sources = this.#yaml.isSeq(node) ? this.list(member) : [member]
    for (const source of sources) {
      for (const [key, value] of this.#members(source, merges - 1)) {
        if (!own.has(key)) own.set(key, value)
      }
    }
  }

  #key(node: Node, parent: YamlValue): { readonly text: string; readonly merges: boolean } {
    const key = this.#yaml.isAlias(node) ? this.#targets.get(node) : node
    if (!this.#yaml.isScalar(key))
      throw this.error({ ...parent, node }, 'has a key that is no text')
    const text = key.source ?? ''
    return { text, merges: text === '<<' && isPlain(key) }
  }

  #scalar(value: YamlValue, what: string): Scalar | undefined {
    const node = this.#resolve(value.node)
    if (!node) return undefined
    if (!this.#yaml.isScalar(node)) throw this.error(value, `is not ${what}`)
    return node
  }
}

function decode(content: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch (cause) {
    throw new S3loError('INTEGRITY', `${name} is not UTF-8 text`, { cause })
  }
}

/** A name as a member; quoted unless it is one of ours, so that no foreign key can pass for a path. */
function join(path: string, key: string): string {
  if (/^[a-z_]{1,40}$/.test(key)) return path === '' ? key : `${path}.${key}`
  return `${path}[${JSON.stringify(key.slice(0, 80))}]`
}

function show(scalar: Scalar): string {
  return JSON.stringify((scalar.source ?? '').slice(0, 80))
}

/** Without quotes and without an explicit tag: what may be something other than a text. */
function isPlain(scalar: Scalar): boolean {
  return scalar.type === 'PLAIN' && scalar.tag === undefined
}

function isNull(scalar: Scalar): boolean {
  return isPlain(scalar) && NULLS.has(scalar.source ?? '')
}

/** `010` is no number here: eight in one version of YAML, ten in the other. */
function toWholeNumber(source: string): number | undefined {
  const digits = source.replaceAll('_', '')
  const decimal = /^\+?(?:0|[1-9][0-9]*)(?:\.0*)?$/
  const prefixed = /^0(?:x[0-9a-fA-F]+|o[0-7]+|b[01]+)$/
  if (!decimal.test(digits) && !prefixed.test(digits)) return undefined
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number : undefined
}

function toFlag(scalar: Scalar): boolean | undefined {
  const text = scalar.source ?? ''
  return FLAGS.get(text) ?? (isPlain(scalar) ? PLAIN_FLAGS.get(text) : undefined)
}

function toFlags({ yes, no }: Record<'yes' | 'no', string>): ReadonlyMap<string, boolean> {
  return new Map([
    ...yes.split(' ').map((word) => [word, true] as const),
    ...no.split(' ').map((word) => [word, false] as const),
  ])
}
