import type { ConfigDocument } from './config-document.ts'

const STORE_KEYS = ['default', 'images', 'policies', 'chunked', 'chunk_format']
const SCOPE_KEYS = ['immutable', 'lifecycle']
const LIFECYCLE_KEYS = ['keep_last', 'max_age', 'keep_tags', 'mode']

/**
 * The paths in a document that no version known here reads, such as `default.imutable`. They are no
 * error: a newer version may have written them.
 */
export function unknownKeys(document: ConfigDocument): readonly string[] {
  const scopes = [['default'], ...document.keysAt(['images']).map((name) => ['images', name])]
  return [
    ...others(document, [], STORE_KEYS),
    ...scopes.flatMap((scope) => [
      ...others(document, scope, SCOPE_KEYS),
      ...others(document, [...scope, 'lifecycle'], LIFECYCLE_KEYS),
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
