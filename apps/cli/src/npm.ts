import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { S3loError } from '@s3lo/core/plugin'
import { npmFailed, npmSilent } from './npm-error.ts'
import type { Environment } from './user-folder.ts'

/** How many lines of npm's errors are kept. The cause comes first. */
const MAX_LINES = 100

/**
 * How npm behaves with a registry that does not answer, unless the user's environment says
 * otherwise: its own defaults would wait for more than a quarter of an hour.
 */
const PATIENCE = {
  npm_config_fetch_timeout: '30000',
  npm_config_fetch_retries: '1',
  npm_config_fetch_retry_mintimeout: '1000',
  npm_config_fetch_retry_maxtimeout: '5000',
}

/** How long npm may say nothing (milliseconds): a download that stalls has no timeout in npm. */
const SILENCE_MS = 120_000

/**
 * What must hold with any npm configuration of the user. No script of a package runs:
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
  // A folder is copied, as it would be published, and not linked.
  '--install-links',
  '--no-bin-links',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  // A line for each answer of the registry: they show that npm is alive.
  '--loglevel=http',
  '--progress=false',
]

export interface NpmOptions {
  readonly env: Environment
  /** The folder whose `node_modules` is changed. */
  readonly folder: string
  /** Prefer what npm has in its cache, and do not ask whether there is something newer. */
  readonly preferCache?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** Called with how many answers of the registry npm has read. */
  readonly onFetched?: ((count: number) => void) | undefined
  /** How long npm may say nothing, in milliseconds; two minutes unless given. */
  readonly silenceMs?: number | undefined
}

/**
 * Runs an npm command for packages on a folder of its own, with the user's npm configuration: its
 * registry, its credentials, its proxy. Throws an error that quotes npm when it fails,
 * `UNSUPPORTED` when there is no npm, and `UNAVAILABLE` when npm says nothing for too long.
 */
export async function npm(
  command: string,
  packages: readonly string[],
  options: NpmOptions,
): Promise<void> {
  const { env, folder, preferCache, signal } = options
  const { program, script } = findNpm(env)
  const flags = preferCache ? [...FLAGS, '--prefer-offline'] : FLAGS
  const silence = new AbortController()
  // Not in the working directory, whose .npmrc could name another registry.
  const child = spawn(
    program,
    [...script, command, '--prefix', folder, ...flags, '--', ...packages],
    {
      cwd: folder,
      env: { ...PATIENCE, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
      signal: AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]),
    },
  )
  const lines = collectLines([child.stdout, child.stderr], options, () => silence.abort())
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject).once('close', resolve)
  const what = ['npm', command, ...packages].join(' ')
  const status = await promise
    .catch((cause: unknown) => {
      signal?.throwIfAborted()
      throw silence.signal.aborted ? npmSilent(what) : noNpm(cause)
    })
    .finally(lines.end)
  signal?.throwIfAborted()
  if (status !== 0) throw npmFailed(what, lines.kept)
}

/** Keeps what npm says of errors, counts what it fetched, and notices when it says nothing more. */
function collectLines(
  streams: readonly Readable[],
  { onFetched, silenceMs = SILENCE_MS }: NpmOptions,
  onSilence: () => void,
): { readonly kept: readonly string[]; readonly end: () => void } {
  const kept: string[] = []
  let fetched = 0
  const timer = setTimeout(onSilence, silenceMs)
  for (const input of streams) {
    createInterface({ input }).on('line', (line) => {
      timer.refresh()
      if (/^npm http fetch \S+ [23]\d\d /.test(line)) onFetched?.(++fetched)
      else if (!line.startsWith('npm http ') && kept.length < MAX_LINES) kept.push(line)
    })
  }
  return { kept, end: () => clearTimeout(timer) }
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
