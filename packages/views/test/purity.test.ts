import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const SRC = join(import.meta.dirname, '../src')

/** What may be loaded where there is neither Node nor a document. */
const ALLOWED = /^(?:\.\/[\w-]+\.ts|@s3lo\/core\/text)$/

it.each(globSync('**/*.ts', { cwd: SRC }))('%s loads nothing of Node', (file) => {
  const source = readFileSync(join(SRC, file), 'utf8')
  const imports = [...source.matchAll(/^import (?!type )[^']*'([^']+)'/gms)]
  const exports = [...source.matchAll(/^export [^'\n]* from '([^']+)'/gm)]
  for (const [, name] of [...imports, ...exports]) expect(name).toMatch(ALLOWED)
})
