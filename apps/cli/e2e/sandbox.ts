import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { NpmRegistry } from './npm-registry.ts'

/** The checkout. */
export const ROOT = join(import.meta.dirname, '../../..')

/** What is published for the tests: the command line, which has its plugins in itself, and what plugins need. */
const PACKAGES = ['packages/core', 'apps/cli']

/** Runs a program; rejects when it fails. */
export const run = promisify(execFile)

/** How a command ended. */
export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Why packages cannot be packed and installed here; `undefined` when they can. */
export function missingTool(): string | undefined {
  const missing = ['npm', 'pnpm', 'tar'].filter((tool) => spawnSync(tool, ['--version']).error)
  return missing.length > 0 ? `${missing.join(' and ')} not found on the PATH` : undefined
}

/** A folder, a registry that has this workspace's packages, and a user who has nothing yet. */
export class Sandbox {
  /** Everything that is written lies in here. */
  readonly folder: string
  readonly registry: NpmRegistry

  private constructor(folder: string, registry: NpmRegistry) {
    this.folder = folder
    this.registry = registry
  }

  /** Builds the workspace and publishes the command line. */
  static async open(): Promise<Sandbox> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 's3lo-e2e-')))
    const sandbox = new Sandbox(folder, await NpmRegistry.start())
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--build', ROOT])
    await sandbox.publishWorkspace(PACKAGES)
    await mkdir(sandbox.app)
    return sandbox
  }

  async close(): Promise<void> {
    await this.registry.stop()
    await rm(this.folder, { recursive: true, force: true })
  }

  /** Where the command line is installed and run. */
  get app(): string {
    return join(this.folder, 'app')
  }

  /** The user's own folder of s3lo. */
  get home(): string {
    return join(this.folder, 'home')
  }

  /** Publishes packages of this workspace, and what they need at run time, as installed here. */
  async publishWorkspace(paths: readonly string[]): Promise<void> {
    const folders = paths.map((path) => join(ROOT, path))
    for (const path of folders) await this.publish(path, 'pnpm')
    for (const path of await dependenciesOf(folders)) await this.publish(path)
  }

  /** Packs a package without running any script of it, and publishes it. */
  async publish(path: string, tool: 'npm' | 'pnpm' = 'npm'): Promise<void> {
    const target = await mkdtemp(join(this.folder, 'packed-'))
    const flags = tool === 'pnpm' ? [] : ['--ignore-scripts', '--loglevel=error']
    const { env } = this
    await run(tool, ['pack', ...flags, '--pack-destination', target], { cwd: path, env })
    const [file] = await readdir(target)
    if (file === undefined) throw new Error(`${path} could not be packed`)
    await this.registry.publish(join(target, file))
  }

  /** Runs the command that is installed in {@link app}, or in another folder. */
  async s3lo(
    args: readonly string[],
    { folder = this.app, env = {} }: { folder?: string; env?: NodeJS.ProcessEnv } = {},
  ): Promise<Outcome> {
    const bin = join(folder, 'node_modules/.bin/s3lo')
    try {
      const options = { cwd: folder, env: { ...this.env, ...env } }
      return { status: 0, ...(await run(bin, args, options)) }
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
      return { status: code, stdout, stderr }
    }
  }

  /** What a new user has: this registry, no cache, no configuration. */
  get env(): NodeJS.ProcessEnv {
    return {
      PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
      HOME: join(this.folder, 'no-home'),
      S3LO_CONFIG_HOME: this.home,
      npm_config_registry: this.registry.url,
      npm_config_cache: join(this.folder, 'npm-cache'),
      npm_config_fund: 'false',
      npm_config_audit: 'false',
    }
  }
}

/** The folders of everything third-party that these packages need at run time. */
async function dependenciesOf(folders: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  const queue = [...folders]
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    const description = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>
      optionalDependencies?: Record<string, string>
    }
    const { dependencies = {}, optionalDependencies = {} } = description
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      if (name.startsWith('@s3lo/')) continue
      const dependency = await packageFolder(name, folder)
      // Of native parts, only that of this machine is installed.
      if (dependency === undefined && name in optionalDependencies) continue
      if (dependency === undefined) throw new Error(`${name} is not installed below ${folder}`)
      if (found.has(dependency)) continue
      found.add(dependency)
      queue.push(dependency)
    }
  }
  return found
}

async function packageFolder(name: string, from: string): Promise<string | undefined> {
  const paths = createRequire(join(from, 'package.json')).resolve.paths(name) ?? []
  const folder = paths.map((path) => join(path, name)).find((path) => existsSync(path))
  return folder && realpath(folder)
}
