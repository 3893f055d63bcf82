/**
 * True where a client says that it takes a media type, or says nothing (RFC 9110, 12.5.1). Weights
 * count only where they are 0.
 */
export function accepts(header: string | undefined, mediaType: string): boolean {
  if (header === undefined || header.trim() === '') return true
  const group = `${mediaType.slice(0, mediaType.indexOf('/'))}/*`
  const named = header.split(',').map((entry) => {
    const [type = '', ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase())
    return { type, isRefused: parameters.some((text) => /^q=0(?:\.0{0,3})?$/.test(text)) }
  })
  const exact = named.find(({ type }) => type === mediaType)
  if (exact) return !exact.isRefused
  return named.some(({ type, isRefused }) => !isRefused && (type === group || type === '*/*'))
}

/** True where one of the entity tags of a condition is `etag` (RFC 9110, 13.1); weak ones count alike. */
export function matchesEtag(header: string, etag: string): boolean {
  if (header.trim() === '*') return true
  return header.split(',').some((entry) => entry.trim().replace(/^W\//, '') === etag)
}
