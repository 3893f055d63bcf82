/** What the Go program had in its group `security`; here these stand alone. */
const SECURITY = new Set(['sign', 'verify', 'scan', 'sbom'])

/**
 * The command line without the group in which the Go program had the command: `s3lo security sign`
 * is `s3lo sign`. `words` are those of it that are no options.
 */
export function withoutOldGroup(
  own: readonly string[],
  words: readonly string[],
): readonly string[] {
  const [group, command = ''] = words
  if (group !== 'security' || !SECURITY.has(command)) return own
  return own.toSpliced(own.indexOf(group), 1)
}
