/** True where one of the entity tags of a condition is `etag` (RFC 9110, 13.1); weak ones count alike. */
export function matchesEtag(header: string, etag: string): boolean {
  if (header.trim() === '*') return true
  return header.split(',').some((entry) => entry.trim().replace(/^W\//, '') === etag)
}
