import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const CORE = join(ROOT, 'packages/core/src')
const PAGE = readFileSync(join(ROOT, 'docs/garbage-collection.md'), 'utf8')
const ROWS = PAGE.split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.slice(2, -2).split(' | '))

function mutationsOf(file: string): readonly (string | undefined)[] {
  const source = readFileSync(join(ROOT, 'packages/core/test/gc', file), 'utf8')
  return [...source.matchAll(/^ {2}mutation\(\s*'([^']+)'/gm)].map(([, name]) => name)
}

it('the page of the protocol has a hazard for each mutation of the model, and no other', () => {
  const hazards = ROWS.filter(([id = '']) => /^H\d+$/.test(id))
  const content = mutationsOf('model-mutations.ts')
  const records = mutationsOf('record-mutations.ts')
  const chunks = mutationsOf('chunk-mutations.ts')
  const named = hazards.map((row) => row.at(-1))
  expect(new Set(named.slice(0, content.length))).toEqual(new Set(content))
  const others = named.filter((name = '') => !name.endsWith('.ts`')).slice(content.length)
  expect(new Set(others.slice(0, records.length))).toEqual(new Set(records))
  expect(new Set(others.slice(records.length))).toEqual(new Set(chunks))
  expect(hazards.map(([id]) => id)).toEqual(hazards.map((_, index) => `H${index + 1}`))
})

it('the page of the protocol has the values that the code has', () => {
  const constants = ROWS.filter(([value = '', file = '']) => /=|\?\?/.test(value) && file !== '')
  const wrong = constants.filter(([value = '', file = '']) => {
    const text = readFileSync(join(CORE, file.replaceAll('`', '')), 'utf8')
    return !text.includes(value.replaceAll('`', ''))
  })
  expect(constants.length).toBeGreaterThan(4)
  expect(wrong).toEqual([])
})

it('the page of the protocol names files that are there', () => {
  const files = [...PAGE.matchAll(/`([\w-]+\/[\w/.-]+\.ts)`/g)].map(([, file = '']) => file)
  const roots = [CORE, join(ROOT, 'packages'), ROOT]
  expect(files.length).toBeGreaterThan(10)
  expect(files.filter((file) => !roots.some((root) => existsSync(join(root, file))))).toEqual([])
})
