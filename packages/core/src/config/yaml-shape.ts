import type * as Yaml from 'yaml'
import type { Node } from 'yaml'

/**
 * What a document says, without how it is written: texts, lists and ordered mappings. An empty
 * mapping or list is `null`. Aliases stay aliases, so that none can multiply.
 */
export type Shape =
  | string
  | null
  | { readonly alias: string }
  | { readonly list: readonly Shape[] }
  | { readonly map: readonly (readonly [key: string, value: Shape])[] }

/** The shape of a parsed document. */
export function shapeOf(yaml: typeof Yaml, document: Yaml.Document.Parsed): Shape {
  return toShape(yaml, document.contents)
}

/** The shape at a path, or `undefined` where there is none. */
export function at(shape: Shape, path: readonly string[]): Shape | undefined {
  let here: Shape | undefined = shape
  for (const key of path) {
    if (here === null || here === undefined || typeof here === 'string') return undefined
    if (!('map' in here)) return undefined
    here = here.map.find(([name]) => name === key)?.[1]
  }
  return here
}

/** A shape with another value at a path, added last where there is none; `undefined` removes it. */
export function setShape(shape: Shape, path: readonly string[], value: Shape | undefined): Shape {
  const [key, ...rest] = path
  if (key === undefined) return value ?? null
  const entries = shape !== null && typeof shape === 'object' && 'map' in shape ? shape.map : []
  const i = entries.findIndex(([name]) => name === key)
  const old = entries[i]?.[1] ?? null
  const changed = rest.length === 0 && value === undefined ? undefined : setShape(old, rest, value)
  const map =
    changed === undefined
      ? entries.filter(([name]) => name !== key)
      : i < 0
        ? [...entries, [key, changed] as const]
        : entries.map((entry, n) => (n === i ? ([key, changed] as const) : entry))
  return map.length > 0 ? { map } : null
}

function toShape(yaml: typeof Yaml, node: Node | null | undefined): Shape {
  if (!node) return null
  if (yaml.isAlias(node)) return { alias: node.source }
  if (yaml.isSeq<Node | null>(node)) {
    const list = node.items.map((item) => toShape(yaml, item))
    return list.length > 0 ? { list } : null
  }
  if (yaml.isMap<Node, Node | null>(node)) {
    const map = node.items.map(
      ({ key, value }) => [keyOf(yaml, key), toShape(yaml, value)] as const,
    )
    return map.length > 0 ? { map } : null
  }
  if (!yaml.isScalar(node)) return null
  const text = node.source ?? ''
  return node.type === 'PLAIN' && /^(?:~|null|Null|NULL)?$/.test(text) ? null : text
}

function keyOf(yaml: typeof Yaml, key: Node): string {
  return yaml.isScalar(key) ? (key.source ?? '') : JSON.stringify(toShape(yaml, key))
}
