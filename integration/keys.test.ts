import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
/** Sources spell paths of OCI layouts and of the registry protocol; the kit judges keys from outside. */
const OTHERS = /^(?:source-|scanner-|backend-conformance$)/
const FOLDERS = readdirSync(join(ROOT, 'packages')).filter((name) => !OTHERS.test(name))
/** A text that begins as a key of a store does. */
const KEY = /['`](?:(?:blobs|manifests|chunks|recipes|indexes)\/|\.s3lo\b|s3lo\.yaml['`])/

describe('the keys of a store', () => {
  it('are spelled in layout/keys.ts and nowhere else', () => {
    const spelled = FOLDERS.flatMap((name) => {
      const folder = join(ROOT, 'packages', name, 'src')
      const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      return files
        .filter((file) => file.endsWith('.ts') && !file.startsWith('testing'))
        .map((file) => ({ path: `${name}/${file}`, lines: codeOf(join(folder, file)) }))
        .filter(({ lines }) => lines.some((line) => KEY.test(line)))
        .map(({ path }) => path)
    })
    expect(spelled).toEqual(['core/layout/keys.ts'])
  })
})

function codeOf(path: string): readonly string[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.filter((line) => !/^\s*(?:\*|\/[/*])/.test(line))
}
