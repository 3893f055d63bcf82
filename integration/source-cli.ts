import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { inherited } from './inherited.ts'

const ROOT = join(import.meta.dirname, '..')
const MAIN = join(ROOT, 'apps/cli/src/main.ts')
const PLUGINS = ['backend-s3', 'backend-gcs', 'backend-azure', 'scanner-trivy', 'serve', 'soci']

/** Environment variables of a process. */
export type Environment = Readonly<Record<string, string>>

/** How a command line ended. */
export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * The command line as a process of its own, run from the sources, with a home of its own.
 * Other plugins are found as plugins of a user are, by S3LO_PLUGIN_PATH.
 */
export class SourceCli {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Prepares a home and a plugin folder below `folder`, which exists. */
  static async open(folder: string): Promise<SourceCli> {
    for (const name of PLUGINS) await writePlugin(join(folder, 'plugins'), name)
    return new SourceCli(folder)
  }

  /** Starts a command line; of this process's environment it gets what is {@link inherited} only. */
  spawn(
    args: readonly string[],
    env: Environment = {},
  ): ChildProcessByStdio<null, Readable, Readable> {
    return spawn(process.execPath, ['--conditions=s3lo-source', MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.#folder,
      env: {
        ...inherited(),
        HOME: join(this.#folder, 'home'),
        S3LO_PLUGIN_PATH: join(this.#folder, 'plugins'),
        ...env,
      },
    })
  }

  /** Runs a command line to its end, as {@link spawn} starts it. */
  async run(args: readonly string[], env: Environment = {}): Promise<Outcome> {
    const child = this.spawn(args, env)
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const [status] = (await once(child, 'close')) as [number | null]
    return { status, stdout, stderr }
  }

  /** The document that a command prints with `-o json`. Throws where the command fails. */
  async json(args: readonly string[], env: Environment = {}): Promise<unknown> {
    const { status, stdout, stderr } = await this.run([...args, '-o', 'json'], env)
    if (status !== 0) throw new Error(`s3lo ${args.join(' ')}: ${status}, ${stderr}${stdout}`)
    return JSON.parse(stdout)
  }
}

/** A package whose plugin is the one in the sources: nothing needs to be built. */
async function writePlugin(folder: string, name: string): Promise<void> {
  const source = pathToFileURL(join(ROOT, 'packages', name, 'src/plugin.ts')).href
  const description = {
    name: `@s3lo/${name}`,
    version: '0.0.0',
    type: 'module',
    keywords: ['s3lo-plugin'],
    exports: { './plugin': './plugin.js' },
  }
  const path = join(folder, 'node_modules/@s3lo', name, 'package.json')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, JSON.stringify(description))
  await writeFile(join(dirname(path), 'plugin.js'), `export { default } from '${source}'\n`)
}
