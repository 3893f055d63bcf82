import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { type ErrorCode, S3loError } from '@s3lo/core/plugin'
import type { Environment } from './user-folder.ts'

/** How much of npm's output is kept (characters). It prints nothing but errors, the cause first. */
const MAX_OUTPUT = 8000

/** How many lines of npm an error quotes. */
const QUOTED_LINES = 2

/**
 * What must hold whatever the user's npm configuration says. No script of a package runs:
 * installing a plugin must not be running it. Peers are installed, since a plugin's is our core.
 */
const FLAGS = [
  '--global=false',
  '--dry-run=false',
  '--save',
  '--save-exact',
  '--package-lock',
  '--install-strategy=hoisted',
  '--legacy-peer-deps=false',
  '--omit=dev',
  '--include=peer',
  '--no-bin-links',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--loglevel=error',
]

export interface NpmOptions {
  readonly env: Environment
  /** The folder whose `node_modules` is changed. */
  readonly folder: string
  /** Prefer what npm has in its cache, and do not ask whether there is something newer. */
  readonly preferCache?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs an npm command for packages on a folder of its own, with the user's npm configuration: its
 * registry, its credentials, its proxy. Throws an error that quotes npm when it fails, and
 * `UNSUPPORTED` when there is no npm.
 */
export async function npm(
  command: string,
  packages: readonly string[],
  { env, folder, preferCache, signal }: NpmOptions,
): Promise<void> {
  const { program, script } = findNpm(env)
  const flags = preferCache ? [...FLAGS, '--prefer-offline'] : FLAGS
  // Not in the working directory, whose .npmrc could name another registry.
  const child = spawn(
    program,
    [...script, command, '--prefix', folder, ...flags, '--', ...packages],
    {
      cwd: folder,
      env: { ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
      ...(signal ? { signal } : {}),
    },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => (output = (output + text).slice(0, MAX_OUTPUT)))
  }
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject).once('close', resolve)
  const status = await promise.catch((cause: unknown) => {
    signal?.throwIfAborted()
    throw noNpm(cause)
  })
  signal?.throwIfAborted()
  if (status !== 0) throw npmFailed([command, ...packages], output)
}

/** The npm that belongs to the running Node, else the one on the PATH. Never a shell. */
function findNpm(env: Environment): {
  readonly program: string
  readonly script: readonly string[]
} {
  const beside = dirname(process.execPath)
  // On Windows the command on the PATH is a batch file, which only a shell can run.
  const path = process.platform === 'win32' ? (env['PATH'] ?? env['Path'] ?? '') : ''
  const script = [
    join(beside, '../lib/node_modules/npm/bin/npm-cli.js'),
    ...[beside, ...path.split(delimiter).filter(isAbsolute)].map((folder) =>
      join(folder, 'node_modules/npm/bin/npm-cli.js'),
    ),
  ].find((file) => existsSync(file))
  return script === undefined
    ? { program: 'npm', script: [] }
    : { program: process.execPath, script: [script] }
}

function noNpm(cause: unknown): S3loError {
  return new S3loError('UNSUPPORTED', 'npm is needed to install plugins and was not found', {
    hint: 'install npm, then run the command again',
    cause,
  })
}

/** What npm's error codes mean; any other is taken for a network that fails. */
const MEANINGS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  E404: ['NOT_FOUND', 'check the name'],
  ETARGET: ['NOT_FOUND', 'check the version'],
  E401: ['UNAUTHORIZED', 'log in to the registry: npm login'],
  ENEEDAUTH: ['UNAUTHORIZED', 'log in to the registry: npm login'],
  E403: ['FORBIDDEN', 'ask for access to the package'],
  EACCES: ['FORBIDDEN', 'check the owner and the mode of the folder'],
  EPERM: ['FORBIDDEN', 'check the owner and the mode of the folder'],
  ENOSPC: ['IO', 'free some space and try again'],
  EINTEGRITY: ['INTEGRITY', 'the registry gives other bytes than it promised'],
  ERESOLVE: ['PLUGIN_INCOMPATIBLE', 'it asks for versions that do not go together'],
  EBADENGINE: ['PLUGIN_INCOMPATIBLE', 'it asks for another version of Node'],
}

function npmFailed(args: readonly string[], output: string): S3loError {
  const npmCode = /^npm (?:error|ERR!) code (\w+)/m.exec(output)?.[1] ?? ''
  const [code, hint] = MEANINGS[npmCode] ?? ['UNAVAILABLE', 'check the network and npm config']
  const quoted = output
    .split('\n')
    .map((line) => line.replace(/^npm (?:error|ERR!)/, '').trim())
    .filter((line) => line !== '' && !NO_REASON.test(line))
    .slice(0, QUOTED_LINES)
  const reason = quoted.join('; ') || 'it said nothing'
  return new S3loError(code, `npm ${args.join(' ')} failed: ${reason}`, { hint })
}

/** Lines of npm that tell people nothing: codes, stack traces, the file of its log. */
const NO_REASON =
  /^(?:code|errno|syscall|path|dest|address|port|type)\b|^at |^\d{3}$|^A complete log|\.log$/
