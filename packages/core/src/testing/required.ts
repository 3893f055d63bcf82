/** True where a suite that cannot run has to fail: S3LO_REQUIRE, a list such as `data,engines`, names its kind. */
export function isRequired(kind: string): boolean {
  return (process.env['S3LO_REQUIRE'] ?? '').split(',').includes(kind)
}

/**
 * The values of environment variables that a suite needs from outside, in their order. Where one is
 * missing this prints why the suite is skipped and gives `undefined`. Throws instead where the suite
 * {@link isRequired}.
 */
export function requiredVariables<const Names extends readonly string[]>(
  kind: string,
  names: Names,
  hint: string,
): Readonly<Record<Names[number], string>> | undefined {
  const found = names.flatMap((name) => {
    const value = process.env[name]
    return value ? [[name, value] as const] : []
  })
  if (found.length === names.length) {
    return Object.fromEntries(found) as Record<Names[number], string>
  }
  const missing = names.filter((name) => !process.env[name])
  const reason = `${missing.join(', ')} not set: ${hint}`
  if (isRequired(kind)) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
}
