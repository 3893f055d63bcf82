import { OWN_PREFIX, S3loError } from '@s3lo/core/plugin'

/** Where bodies are written before they are published. */
export const STAGING = `${OWN_PREFIX}tmp`
/** Where the locks are. This folder and {@link STAGING} hold files that are no objects. */
export const LOCKS = `${OWN_PREFIX}locks`

/** The path components of a key. Throws `INVALID_REFERENCE` for a key that is no plain path. */
export function componentsOf(key: string): readonly string[] {
  if (NO_PATH.test(key)) throw invalid(key)
  if (isHidden(`${key}/`)) {
    throw new S3loError('INVALID_REFERENCE', `${key} is a place that s3lo keeps for itself`)
  }
  return key.split('/')
}

/** In a key: a component that is no plain step down on every system. */
const NO_PATH = /(?:^|\/)\.{0,2}(?:\/|$)|[\\\0]/

/** The folder and the start of a name that a prefix consists of. Throws `INVALID_REFERENCE`. */
export function splitPrefix(prefix: string): { readonly folder: string; readonly name: string } {
  const slash = prefix.lastIndexOf('/') + 1
  const folder = prefix.slice(0, slash)
  const name = prefix.slice(slash)
  const components = folder.split('/').slice(0, -1)
  if (!components.every(isComponent) || /[\\\0]/.test(name)) throw invalid(prefix)
  return { folder, name }
}

/** True for the key (or folder, with its slash) of a file that is not an object. */
export function isHidden(key: string): boolean {
  return key.startsWith(`${STAGING}/`) || key.startsWith(`${LOCKS}/`)
}

/** True for a name that is one plain step down on every system. */
export function isComponent(name: string): boolean {
  return !name.includes('/') && !NO_PATH.test(name)
}

/** Below zero when `a` comes before `b` by UTF-8 bytes. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0
  // The order of UTF-16 units is that of UTF-8 bytes unless there are surrogates.
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : 1
}

const SURROGATE = /[\ud800-\udfff]/

function invalid(key: string): S3loError {
  return new S3loError(
    'INVALID_REFERENCE',
    `${JSON.stringify(key)} is not a key of a local store`,
    {
      hint: 'a key may not be absolute, nor have empty, "." or ".." parts, backslashes or NUL',
    },
  )
}
