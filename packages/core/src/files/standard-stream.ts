/** The names that systems have for the standard input as a file, and `-`, which programs have. */
const INPUT: ReadonlySet<string> = new Set(['-', '/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'])
const OUTPUT: ReadonlySet<string> = new Set(['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'])

/** True for a path that means the standard input of this process. */
export function isStandardInput(path: string): boolean {
  return INPUT.has(path)
}

/** True for a path that means the standard output of this process. */
export function isStandardOutput(path: string): boolean {
  return OUTPUT.has(path)
}
