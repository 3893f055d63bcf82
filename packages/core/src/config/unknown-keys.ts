import type { ConfigDocument } from './config-document.ts'
import { BLOCKS, IMAGE_SETTINGS, SETTINGS } from './settings.ts'

const STORE_SETTINGS = Object.keys(SETTINGS).filter((key) => SETTINGS[key]?.isAtTop)
const STORE_KEYS = ['default', 'images', 'policies', 'chunk_format', ...STORE_SETTINGS]
const IMAGE_KEYS = IMAGE_SETTINGS.map(({ path }) => path[0])
const DEFAULT_KEYS = IMAGE_KEYS.filter((key) => !STORE_SETTINGS.includes(key))

/**
 * The paths in a document that no version known here reads, such as `default.imutable`. They are no
 * error: a newer version may have written them.
 */
export function unknownKeys(document: ConfigDocument): readonly string[] {
  const scopes = [['default'], ...document.keysAt(['images']).map((name) => ['images', name])]
  return [
    ...others(document, [], STORE_KEYS),
    ...scopes.flatMap((scope) => [
      ...others(document, scope, scope[0] === 'default' ? DEFAULT_KEYS : IMAGE_KEYS),
      ...[...BLOCKS].flatMap((block) => others(document, [...scope, block], keysOf(block))),
    ]),
  ]
}

function others(
  document: ConfigDocument,
  path: readonly string[],
  known: readonly string[],
): readonly string[] {
  return document
    .keysAt(path)
    .filter((key) => !known.includes(key) && key !== '<<')
    .map((key) => [...path, key].join('.'))
}

function keysOf(block: string): readonly string[] {
  return IMAGE_SETTINGS.flatMap(({ path: [first, ...rest] }) => (first === block ? rest : []))
}
