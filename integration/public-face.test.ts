import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '..')
const REPOSITORY = 'https://github.com/s3lo/s3lo'

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const packages = [
  'apps/cli',
  ...readdirSync(join(ROOT, 'packages')).map((name) => `packages/${name}`),
].map((folder) => ({ folder, description: JSON.parse(read(`${folder}/package.json`)) as unknown }))

const workflows = [
  ...readdirSync(join(ROOT, '.github/workflows')).map((name) => `.github/workflows/${name}`),
  '.github/actions/setup/action.yml',
]

describe('a published package', () => {
  it.each(packages)('$folder says where it comes from', ({ folder, description }) => {
    expect(description).toMatchObject({
      description: expect.any(String),
      homepage: `${REPOSITORY}/tree/main/${folder}#readme`,
      bugs: { url: `${REPOSITORY}/issues` },
      author: 'the s3lo authors',
      license: 'MIT',
      repository: { type: 'git', url: `git+${REPOSITORY}.git`, directory: folder },
      keywords: expect.arrayContaining(['s3lo']),
    })
  })
})

describe('a workflow', () => {
  it.each(workflows)('%s uses actions by their commit, with the version beside it', (path) => {
    const uses = [...read(path).matchAll(/uses: (?<action>.*)/g)].map(
      (match) => match.groups?.['action'],
    )
    expect(uses.length).toBeGreaterThan(0)
    for (const action of uses) {
      expect(action).toMatch(/^(?:\.\/|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)/)
    }
  })

  it('tests the floor of `engines`, and later versions of Node', () => {
    const checks = parse(read('.github/workflows/checks.yml')) as {
      jobs: { test: { strategy: { matrix: { node: string[] } } } }
    }
    const [floor, ...later] = checks.jobs.test.strategy.matrix.node
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } }
    expect(`>=${floor}`).toBe(engines.node)
    expect(later).toEqual(['22', '24', 'latest'])
  })
})
