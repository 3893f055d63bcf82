/** What the Go program had in its group `security`; here these stand alone. */
const SECURITY = new Set(['sign', 'verify', 'scan', 'sbom'])

/**
 * The command line without the group in which the Go program had the command: `s3lo security sign`
 * is `s3lo sign`. `words` are those of it that are neither options nor their values.
 */
export function withoutOldGroup(
  argv: readonly string[],
  words: readonly string[],
): readonly string[] {
  const [group, command = ''] = words
  if (group !== 'security' || !SECURITY.has(command)) return argv
  const at = argv.findIndex((word, i) => word === group && argv[i + 1] === command)
  return at < 0 ? argv : argv.toSpliced(at, 1)
}
