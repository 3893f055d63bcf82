import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeLayout } from './layout.ts'
import { NpmRegistry } from './npm-registry.ts'

const ROOT = join(import.meta.dirname, '../../..')
const PACKAGES = ['packages/core', 'packages/backend-local', 'packages/source-docker', 'apps/cli']
const run = promisify(execFile)

interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

let work: string
let registry: NpmRegistry
let home: string
let digest: string

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 's3lo-e2e-'))
  home = join(work, 'home')
  registry = await NpmRegistry.start()
  await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--build', ROOT])
  for (const folder of PACKAGES) {
    await registry.publish(await pack('pnpm', join(ROOT, folder)))
  }
  for (const folder of await dependenciesOf(PACKAGES.map((path) => join(ROOT, path)))) {
    await registry.publish(await pack('npm', folder))
  }
  await mkdir(join(work, 'app'))
  await npm('install', '@s3lo/cli')
  digest = await writeLayout(join(work, 'app/image'), 'v1')
})

afterAll(async () => {
  await registry.stop()
  await rm(work, { recursive: true, force: true })
})

describe('the command line, installed from its packages into an empty folder', () => {
  it('says its version', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'apps/cli/package.json'), 'utf8')) as {
      version: string
    }
    expect((await s3lo('--version')).stdout).toContain(version)
  })

  it('brings no cloud SDK and little else', async () => {
    const modules = await readdir(join(work, 'app/node_modules'))
    expect(modules.filter((name) => !name.startsWith('.'))).toEqual([
      '@s3lo',
      'clipanion',
      'typanion',
      'yaml',
    ])
  })

  it('pushes, lists, inspects and pulls with local://, every digest equal', async () => {
    const pushed = await s3lo('push', 'oci:./image:v1', 'local://./store/app:v1', '-o', 'json')
    expect(JSON.parse(pushed.stdout)).toMatchObject({ digest })
    expect((await s3lo('list', 'local://./store/')).stdout).toBe('app:v1\n')
    const inspected = await s3lo('inspect', 'local://./store/app:v1', '-o', 'json')
    expect(JSON.parse(inspected.stdout)).toMatchObject({ digest, is_index: false })
    await s3lo('pull', 'local://./store/app:v1', 'oci-archive:./app.tar:v1')
    const again = await s3lo(
      'push',
      'oci-archive:./app.tar:v1',
      'local://./store/b:v1',
      '-o',
      'json',
    )
    expect(JSON.parse(again.stdout)).toMatchObject({ digest, blobs_uploaded: 0 })
  })

  it('says how to install a backend that is not there', async () => {
    const { status, stderr } = await s3lo('list', 'gs://bucket/')
    expect(status).toBe(69)
    expect(stderr).toContain('hint: s3lo plugin add @s3lo/backend-gcs')
  })
})

describe('a third party store, made from the guide', () => {
  let guide: string

  it('compiles as it is printed', async () => {
    guide = await writeGuidePackage()
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', guide])
  })

  it('keeps the contract, by the test that the guide prints', async () => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const { stdout } = await run(process.execPath, [vitest, 'run', '--root', guide])
    expect(stdout).toMatch(/Tests .*passed/)
  })

  it('is not there before it is added', async () => {
    const { status, stderr } = await s3lo('list', 'shelf://books/')
    expect(status).toBe(69)
    expect(stderr).toContain('s3lo plugin add s3lo-backend-shelf')
  })

  it('is added, used and removed', async () => {
    await registry.publish(await pack('npm', guide))
    await mkdir(join(work, 'shelves/books'), { recursive: true })
    const added = await s3lo('plugin', 'add', 's3lo-backend-shelf')
    expect(added).toMatchObject({ status: 0, stdout: expect.stringContaining('shelf://') })
    expect(await s3lo('push', 'oci:./image:v1', 'shelf://books/app:v1')).toMatchObject({
      status: 0,
    })
    expect((await s3lo('list', 'shelf://books/')).stdout).toBe('app:v1\n')
    const copied = await s3lo('copy', 'shelf://books/app:v1', 'local://./back/app:v1', '-o', 'json')
    expect(JSON.parse(copied.stdout)).toMatchObject({ digest })
    const listed = await s3lo('plugin', 'list', '-o', 'json')
    expect(JSON.parse(listed.stdout)).toContainEqual(
      expect.objectContaining({ name: 's3lo-backend-shelf', from: 'user', schemes: ['shelf'] }),
    )
    expect(await s3lo('plugin', 'remove', 's3lo-backend-shelf')).toMatchObject({ status: 0 })
    expect(await s3lo('list', 'shelf://books/')).toMatchObject({ status: 69 })
  })

  it('is refused and taken out again when it is no plugin', async () => {
    const added = await s3lo('plugin', 'add', 'yaml')
    expect(added).toMatchObject({ status: 69, stderr: expect.stringContaining('no s3lo plugin') })
    expect(existsSync(join(home, 'node_modules/yaml'))).toBe(false)
  })

  it('that does not exist is named', async () => {
    const { status, stderr } = await s3lo('plugin', 'add', 's3lo-backend-nowhere')
    expect(status).toBe(66)
    expect(stderr).toContain('s3lo-backend-nowhere')
  })
})

/** Runs the installed command. */
async function s3lo(...args: string[]): Promise<Outcome> {
  const bin = join(work, 'app/node_modules/.bin/s3lo')
  try {
    const { stdout, stderr } = await run(bin, args, { cwd: join(work, 'app'), env: environment() })
    return { status: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { status: code, stdout, stderr }
  }
}

async function npm(...args: string[]): Promise<void> {
  const flags = ['--no-audit', '--no-fund', '--loglevel=error']
  await run('npm', [...args, ...flags], { cwd: join(work, 'app'), env: environment() })
}

/** What a new user has: this registry, no cache, no configuration. */
function environment(): NodeJS.ProcessEnv {
  return {
    PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
    HOME: join(work, 'nobody'),
    S3LO_CONFIG_HOME: home,
    S3LO_SHELF_ROOT: join(work, 'shelves'),
    npm_config_registry: registry.url,
    npm_config_cache: join(work, 'npm-cache'),
  }
}

/** Packs a package without running any script of it. Returns the tarball. */
async function pack(tool: 'npm' | 'pnpm', folder: string): Promise<string> {
  const target = await mkdtemp(join(work, 'packed-'))
  const args = tool === 'pnpm' ? ['pack'] : ['pack', '--ignore-scripts', '--loglevel=error']
  await run(tool, [...args, '--pack-destination', target], { cwd: folder })
  const [file] = await readdir(target)
  if (file === undefined) throw new Error(`${folder} could not be packed`)
  return join(target, file)
}

/** The folders of everything third-party that these packages need at run time, as it is installed here. */
async function dependenciesOf(folders: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  const queue = [...folders]
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    const description = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>
    }
    for (const name of Object.keys(description.dependencies ?? {})) {
      if (name.startsWith('@s3lo/')) continue
      const dependency = await packageFolder(name, folder)
      if (found.has(dependency)) continue
      found.add(dependency)
      queue.push(dependency)
    }
  }
  return found
}

async function packageFolder(name: string, from: string): Promise<string> {
  const paths = createRequire(join(from, 'package.json')).resolve.paths(name) ?? []
  const folder = paths.map((path) => join(path, name)).find((path) => existsSync(path))
  if (folder === undefined) throw new Error(`${name} is not installed below ${from}`)
  return realpath(folder)
}

/** Writes the package whose files the guide prints, with what `npm install` would bring. */
async function writeGuidePackage(): Promise<string> {
  const guide = await readFile(join(ROOT, 'docs/writing-a-backend.md'), 'utf8')
  const folder = join(work, 'guide')
  for (const [, name = '', content = ''] of guide.matchAll(
    /^\*\*`([^`]+)`\*\*\n+```\w+\n(.*?)^```/gms,
  )) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  for (const [name, target] of [
    ['@s3lo/core', 'packages/core'],
    ['@s3lo/backend-conformance', 'packages/backend-conformance'],
    ['@types/node', 'node_modules/@types/node'],
    ['vitest', 'node_modules/vitest'],
  ] as const) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(ROOT, target), link)
  }
  return folder
}
