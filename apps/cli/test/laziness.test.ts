import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const MAIN = join(ROOT, 'apps/cli/src/main.ts')

/** Records every module that is read, ours and those of packages. */
const RECORDER = `
  import { registerHooks } from 'node:module'
  const loaded = []
  registerHooks({
    load(url, context, next) {
      if (url.startsWith('file:')) loaded.push(url)
      return next(url, context)
    },
  })
  process.on('exit', () => process.stderr.write(JSON.stringify(loaded)))
`

let folder: string

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 's3lo-lazy-test-')))
  mkdirSync(join(folder, 'store/manifests/app/v1'), { recursive: true })
  writeFileSync(join(folder, 'store/manifests/app/v1/manifest.json'), '{}')
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** The files that a command line reads, relative to the checkout. */
function filesReadBy(...argv: readonly string[]): readonly string[] {
  const recorder = `data:text/javascript,${encodeURIComponent(RECORDER)}`
  const child = spawnSync(
    process.execPath,
    ['--conditions=s3lo-source', '--import', recorder, MAIN, ...argv],
    { cwd: folder, encoding: 'utf8', env: { HOME: folder, NODE_DISABLE_COMPILE_CACHE: '1' } },
  )
  expect(child.status).toBe(0)
  const urls = JSON.parse(child.stderr) as readonly string[]
  return urls.map((url) => fileURLToPath(url).replace(ROOT, '').split(sep).join('/'))
}

describe('a command reads only what it needs', () => {
  it('list of a local store: core and the local backend', () => {
    const files = filesReadBy('list', 'local://./store/')
    const packages = files
      .filter((file) => file.includes('node_modules/'))
      .map((file) => /.*node_modules\/(?<name>(?:@[^/]+\/)?[^/]+)/.exec(file)?.groups?.['name'])
    expect([...new Set(packages)]).toEqual([])
    const sources = files.filter((file) => file.startsWith('packages/'))
    const owners = sources.map((file) => file.split('/')[1])
    expect(new Set(owners)).toEqual(new Set(['core', 'backend-local', 'views']))
    const commands = files.filter((file) => file.startsWith('apps/cli/src/commands/'))
    expect(commands).toEqual(['apps/cli/src/commands/list.ts'])
    expect(files.filter((file) => file.includes('progress'))).toEqual([])
  })

  it('--version: nothing else', () => {
    const files = filesReadBy('--version')
    expect(files).toEqual(['apps/cli/src/main.ts', 'apps/cli/src/version.ts'])
  })
})
