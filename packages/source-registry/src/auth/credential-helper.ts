import {
  asString,
  type CallOptions,
  isS3loError,
  type JsonObject,
  optional,
  S3loError,
} from '@s3lo/core/plugin'
import { printable } from '../registry-error.ts'
import type { Credential } from './credential.ts'
import { parseSecretJson } from './secret-json.ts'

/** How a helper is run. */
export interface CredentialHelperOptions {
  /** The helper's environment; it is found on the `PATH` of it. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** A helper that takes longer is stopped: it may wait for a user who is absent. */
  readonly timeoutMs?: number | undefined
}

type Action = 'get' | 'store' | 'erase' | 'list'

const DEFAULT_TIMEOUT_MS = 60_000
const MAX_OUTPUT = 1024 * 1024
/** Of what a helper says on standard error (characters). */
const MAX_REMARKS = 1024
/** How long standard error is read after a helper has ended. */
const REMARKS_MS = 200
/** No path, and nothing that a shell or an option parser would read. */
const NAME = /^[a-zA-Z0-9][\w.-]{0,99}$/
/** What the helper protocol calls absence. */
const NOT_FOUND = 'credentials not found in native keychain'
/** The user name that marks a secret as an identity token. */
const TOKEN_USER = '<token>'

/**
 * A program `docker-credential-NAME` that keeps credentials (the protocol of
 * docker-credential-helpers v0.9). Throws `UNSUPPORTED` when it is not installed, `UNAVAILABLE` when
 * it fails or takes too long, `INTEGRITY` when its answer cannot be read; no error has a secret.
 */
export class CredentialHelper {
  readonly program: string
  readonly #options: CredentialHelperOptions

  /** Throws `INTEGRITY` for a name that is more than a name. */
  constructor(name: string, options: CredentialHelperOptions) {
    if (!NAME.test(name)) {
      throw new S3loError(
        'INTEGRITY',
        `${JSON.stringify(name.slice(0, 100))} is no credential helper`,
        {
          hint: 'a helper is named by what follows docker-credential-',
        },
      )
    }
    this.program = `docker-credential-${name}`
    this.#options = options
  }

  /** What the helper has for a key; `undefined` when it has nothing. */
  async get(key: string, options: CallOptions = {}): Promise<Credential | undefined> {
    const outcome = await this.#run('get', key, options)
    const { status, output } = outcome
    if (status !== 0 && output.includes(NOT_FOUND)) return undefined
    if (status !== 0) throw this.#failure('get', outcome)
    const what = `the answer of ${this.program}`
    const answer = parseAnswer(outcome, what)
    const username = optional(answer, 'Username', what, asString) ?? ''
    const secret = optional(answer, 'Secret', what, asString) ?? ''
    if (secret === '') return undefined
    const source = this.program
    if (username === TOKEN_USER) return { kind: 'identity-token', token: secret, source }
    return { kind: 'password', username, password: secret, source }
  }

  /** Keeps a password under a key, in place of what was there. */
  async store(
    key: string,
    { username, password }: { readonly username: string; readonly password: string },
    options: CallOptions = {},
  ): Promise<void> {
    const input = JSON.stringify({ ServerURL: key, Username: username, Secret: password })
    const outcome = await this.#run('store', input, options)
    if (outcome.status !== 0) throw this.#failure('store', outcome, password)
  }

  /** Forgets what is kept under a key; false when there was nothing. */
  async erase(key: string, options: CallOptions = {}): Promise<boolean> {
    const outcome = await this.#run('erase', key, options)
    if (outcome.status === 0) return true
    if (outcome.output.includes(NOT_FOUND)) return false
    throw this.#failure('erase', outcome)
  }

  /** The user name by key of everything that the helper keeps. */
  async list(options: CallOptions = {}): Promise<ReadonlyMap<string, string>> {
    const outcome = await this.#run('list', '', options)
    if (outcome.status !== 0) throw this.#failure('list', outcome)
    const what = `the answer of ${this.program}`
    const entries = Object.entries(outcome.output === '' ? {} : parseAnswer(outcome, what))
    return new Map(entries.map(([key, user]) => [key, asString(user, what)]))
  }

  async #run(action: Action, input: string, { signal }: CallOptions): Promise<Outcome> {
    signal?.throwIfAborted()
    const { env, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options
    const expired = AbortSignal.timeout(timeoutMs)
    const stop = signal ? AbortSignal.any([signal, expired]) : expired
    try {
      return await runProgram(this.program, action, { input, env, signal: stop })
    } catch (error) {
      signal?.throwIfAborted()
      if (isS3loError(error)) throw error
      if (expired.aborted) {
        throw new S3loError(
          'UNAVAILABLE',
          `${this.program} gave no answer in ${timeoutMs / 1000} s`,
        )
      }
      throw this.#cannotRun(error)
    }
  }

  #cannotRun(error: unknown): S3loError {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT') {
      return new S3loError(
        'UNSUPPORTED',
        `the credential helper ${this.program} is not installed`,
        {
          hint: 'install it, or take it out of the file that names it',
        },
      )
    }
    return new S3loError('UNAVAILABLE', `${this.program} cannot be run`, { cause: error })
  }

  #failure(action: Action, outcome: Outcome, secret?: string): S3loError {
    const { killedBy } = outcome
    const end = killedBy === undefined ? 'failed' : `was ended by ${killedBy}`
    return new S3loError('UNAVAILABLE', `${this.program} ${action} ${end}${said(outcome, secret)}`)
  }
}

interface Outcome {
  readonly status: number
  /** The signal that ended it, where one did. */
  readonly killedBy: string | undefined
  /** Standard output: helpers tell their failures there, too. */
  readonly output: string
  /** The end of its standard error. */
  readonly remarks: string
}

/** What a helper said of its failure. What looks like an answer may have the secret in it. */
function said({ output, remarks }: Outcome, secret?: string): string {
  const texts = [output, remarks]
    .filter((text) => !text.includes('{'))
    .map((text) => printable(secret ? text.replaceAll(secret, '***') : text))
    .filter((text) => text !== '')
  return texts.length > 0 ? `: ${texts.join('; ')}` : ''
}

function parseAnswer(outcome: Outcome, what: string): JsonObject {
  try {
    return parseSecretJson(outcome.output, what)
  } catch (error) {
    if (!isS3loError(error)) throw error
    const { code, message, hint } = error
    throw new S3loError(code, `${message}${said({ ...outcome, output: '' })}`, { hint })
  }
}

interface RunOptions {
  readonly input: string
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
}

/** Runs a program without a shell; this ends with `signal`, even if it leaves processes behind. */
function runProgram(
  program: string,
  action: Action,
  { input, env, signal }: RunOptions,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // Loaded with its first use, as few registries have a helper.
    const { spawn } = process.getBuiltinModule('node:child_process')
    const child = spawn(program, [action], {
      env,
      windowsHide: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const { stdin, stdout, stderr } = child
    let remarks = ''
    stderr.setEncoding('utf8')
    stderr.on('data', (text: string) => {
      remarks = (remarks + text).slice(-MAX_REMARKS)
    })
    const chunks: Buffer[] = []
    let size = 0
    const fail = (error: unknown): void => {
      child.kill('SIGKILL')
      stdout.destroy()
      stderr.destroy()
      reject(error)
    }
    const stop = (): void => fail(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    stdout.on('data', (chunk: Buffer) => {
      size += chunk.byteLength
      if (size <= MAX_OUTPUT) chunks.push(chunk)
      else fail(new S3loError('INTEGRITY', `${program} says more than ${MAX_OUTPUT} bytes`))
    })
    child.once('error', fail)
    // What a helper leaves running (an agent, say) may keep its standard error open for ever.
    let release: NodeJS.Timeout | undefined
    child.once('exit', () => {
      release = setTimeout(() => stderr.destroy(), REMARKS_MS)
    })
    child.once('close', (code, killedBy) => {
      clearTimeout(release)
      signal.removeEventListener('abort', stop)
      const output = Buffer.concat(chunks).toString('utf8').trim()
      const end = { status: code ?? 1, killedBy: killedBy ?? undefined }
      resolve({ ...end, output, remarks: remarks.trim() })
    })
    // A helper may end without reading; its exit status tells.
    stdin.on('error', () => undefined)
    stdin.end(input)
  })
}
