/** Longer headers than this are not looked at (UTF-16 units). */
const MAX_LENGTH = 16 * 1024

/**
 * The target of `rel="next"` in a `Link` header (RFC 8288), as it is written; `undefined` when
 * there is none. A target without its angle brackets, as some registries write it, is taken too.
 * Takes time in proportion to the header's length.
 */
export function nextLink(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_LENGTH) return undefined
  if (!header.includes('<')) return bareLink(header)
  let rest = header
  for (;;) {
    const start = rest.indexOf('<')
    const end = rest.indexOf('>', start)
    if (start < 0 || end < 0) return undefined
    const target = rest.slice(start + 1, end)
    const { isNext, length } = readParameters(rest.slice(end + 1))
    if (isNext) return target
    rest = rest.slice(end + 1 + length)
  }
}

function bareLink(header: string): string | undefined {
  const end = header.indexOf(';')
  const target = header.slice(0, Math.max(0, end)).trim()
  if (target === '' || /[\s",>]/.test(target)) return undefined
  return readParameters(header.slice(end)).isNext ? target : undefined
}

const PARAMETER = /\s*;\s*([\w!#$&+.^`|~*-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y

/** Reads the parameters of one link, up to the comma before the next one. */
function readParameters(text: string): { readonly isNext: boolean; readonly length: number } {
  let isNext = false
  let length = 0
  for (;;) {
    PARAMETER.lastIndex = length
    const found = PARAMETER.exec(text)
    if (!found) return { isNext, length }
    length = PARAMETER.lastIndex
    const [, name = '', quoted, bare = ''] = found
    const relations = (quoted ?? bare).toLowerCase().split(/\s+/)
    if (name.toLowerCase() === 'rel' && relations.includes('next')) isNext = true
  }
}
