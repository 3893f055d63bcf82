import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { S3loError } from '@s3lo/core/plugin'
import type { Environment } from './user-folder.ts'

/** How much of npm's output an error can quote (characters). */
const TAIL = 2000

/** Never runs a package's scripts: installing a plugin must not be running it. */
const FLAGS = ['--ignore-scripts', '--no-audit', '--no-fund', '--omit=dev', '--loglevel=error']

export interface NpmOptions {
  readonly env: Environment
  /** The folder whose `node_modules` is changed. */
  readonly folder: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs an npm command on a folder of its own, with the user's npm configuration. Throws
 * `UNAVAILABLE` with npm's last words when it fails, `UNSUPPORTED` when there is no npm.
 */
export async function npm(args: readonly string[], options: NpmOptions): Promise<void> {
  const { env, folder, signal } = options
  const { command, prefix } = npmCommand()
  const child = spawn(command, [...prefix, ...args, '--prefix', folder, ...FLAGS], {
    env: { ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: command === 'npm' && process.platform === 'win32',
    ...(signal ? { signal } : {}),
  })
  let tail = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (tail = (tail + chunk.toString()).slice(-TAIL)))
  }
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject).once('close', resolve)
  const status = await promise.catch((cause: unknown) => {
    signal?.throwIfAborted()
    throw new S3loError('UNSUPPORTED', 'npm is needed to install plugins and was not found', {
      hint: 'install npm, then run the command again',
      cause,
    })
  })
  if (status !== 0) throw npmFailed(args, tail)
}

function npmFailed(args: readonly string[], tail: string): S3loError {
  const words = tail
    .split('\n')
    .map((line) => line.replace(/^npm (error|ERR!) ?/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('A complete log'))
  const missing = /E404|ETARGET/.test(tail)
  return new S3loError(
    missing ? 'NOT_FOUND' : 'UNAVAILABLE',
    `npm ${args.join(' ')} failed: ${words.slice(0, 4).join('; ') || 'it said nothing'}`,
    { hint: missing ? 'check the name and version' : 'check the network and npm config' },
  )
}

/** The npm that belongs to the running Node, else the one on the PATH. */
function npmCommand(): { readonly command: string; readonly prefix: readonly string[] } {
  const beside = dirname(process.execPath)
  const scripts = ['../lib/node_modules/npm/bin/npm-cli.js', 'node_modules/npm/bin/npm-cli.js']
  const script = scripts.map((path) => join(beside, path)).find((path) => existsSync(path))
  return script === undefined
    ? { command: 'npm', prefix: [] }
    : { command: process.execPath, prefix: [script] }
}
