/** A `local://` reference whose text leaves open where the path of the store ends. */
export interface OpenPath {
  /** `./`, `../`, `/` or nothing. */
  readonly lead: string
  /** The folders on the path; the last one may be, or begin, an image's name. */
  readonly folders: readonly string[]
  /** What begins a tag or a digest, and all behind it. */
  readonly version: string
}

/**
 * The path of a `local://` reference. `undefined` for any other store, and where an empty component
 * ends the path of the store, so that nothing is left open.
 */
export function parseOpenPath(text: string): OpenPath | undefined {
  if (!text.startsWith(SCHEME)) return undefined
  const rest = text.slice(SCHEME.length)
  const [lead = ''] = /^\.{0,2}\//.exec(rest) ?? []
  const path = rest.slice(lead.length)
  if (path.includes('//') || path.startsWith('/')) return undefined
  const version = /[@:]/.exec(path.slice(path.lastIndexOf('/') + 1))
  const end = version ? path.lastIndexOf('/') + 1 + version.index : path.length
  const folders = path.slice(0, end).replace(/\/$/, '').split('/')
  return { lead, folders, version: path.slice(end) }
}

/** The reference of what lies below the first `depth` folders of the path, as parsers read it. */
export function closePath({ lead, folders, version }: OpenPath, depth: number): string {
  const store = lead + folders.slice(0, depth).join('/')
  const image = folders.slice(depth).join('/')
  // One folder is what a parser takes for the store anyway.
  const separator = depth === 1 ? '/' : '//'
  return `${SCHEME}${store}${separator}${image}${version}`
}

const SCHEME = 'local://'
