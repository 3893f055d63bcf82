/**
 * What a process of a test gets of this one's environment, beside what the test gives it: where programs
 * are, and where Node keeps what it made of the sources.
 */
export function inherited(): NodeJS.ProcessEnv {
  const { PATH, NODE_COMPILE_CACHE } = process.env
  return { PATH, NODE_COMPILE_CACHE }
}
