/** The conditions of an `exports` map that hold for an import by Node. */
const CONDITIONS: ReadonlySet<string> = new Set(['node', 'import', 'module-sync', 'default'])

/**
 * The path, relative to the package, that an `exports` map gives to a subpath: conditions, patterns
 * and alternatives as Node has them (Node.js 22, "Packages", PACKAGE_EXPORTS_RESOLVE). `undefined`
 * where it is not exported.
 */
export function exportedPath(exports: unknown, subpath: string): string | undefined {
  if (!isMap(exports)) return undefined
  if (Object.hasOwn(exports, subpath)) return targetOf(exports[subpath]) ?? undefined
  const pattern = Object.keys(exports)
    .map(splitPattern)
    .filter((split) => split !== undefined)
    .filter((split) => matches(split, subpath))
    .toSorted(mostSpecificFirst)[0]
  if (!pattern) return undefined
  const { key, start, end } = pattern
  const matched = subpath.slice(start.length, subpath.length - end.length)
  return targetOf(exports[key])?.replaceAll('*', matched)
}

interface Pattern {
  readonly key: string
  readonly start: string
  readonly end: string
}

function splitPattern(key: string): Pattern | undefined {
  const [start, end, ...more] = key.split('*')
  return start === undefined || end === undefined || more.length > 0
    ? undefined
    : { key, start, end }
}

function matches({ key, start, end }: Pattern, subpath: string): boolean {
  return subpath.length >= key.length && subpath.startsWith(start) && subpath.endsWith(end)
}

function mostSpecificFirst(a: Pattern, b: Pattern): number {
  return b.start.length - a.start.length || b.key.length - a.key.length
}

/** `null` is an export that was taken back, which ends the search; `undefined` continues it. */
function targetOf(target: unknown): string | null | undefined {
  if (target === null) return null
  if (typeof target === 'string') return target.startsWith('./') ? target : undefined
  if (Array.isArray(target)) {
    return target.map(targetOf).find((path) => path !== undefined && path !== null)
  }
  if (!isMap(target)) return undefined
  for (const [condition, nested] of Object.entries(target)) {
    if (!CONDITIONS.has(condition)) continue
    const path = targetOf(nested)
    if (path !== undefined) return path
  }
  return undefined
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
