import { spawn } from 'node:child_process'
import { asString, type CallOptions, isS3loError, optional, S3loError } from '@s3lo/core/plugin'
import { printable } from '../registry-error.ts'
import type { Credential } from './credential.ts'
import { parseSecretJson } from './secret-json.ts'

/** How a helper is run. */
export interface CredentialHelperOptions {
  /** The helper's environment; it is found on the `PATH` of it. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** A helper that takes longer is stopped: it may wait for somebody who is not there. */
  readonly timeoutMs?: number | undefined
}

type Action = 'get' | 'store' | 'erase' | 'list'

const DEFAULT_TIMEOUT_MS = 60_000
const MAX_OUTPUT = 1024 * 1024
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
    const { status, output } = await this.#run('get', key, options)
    if (status !== 0 && output.includes(NOT_FOUND)) return undefined
    // What looks like an answer may have the secret in it.
    if (status !== 0) throw this.#failure('get', output.includes('{') ? '' : output)
    const what = `the answer of ${this.program}`
    const answer = parseSecretJson(output, what)
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
    const { status, output } = await this.#run('store', input, options)
    if (status !== 0) throw this.#failure('store', output.replaceAll(password, '***'))
  }

  /** Forgets what is kept under a key; false when there was nothing. */
  async erase(key: string, options: CallOptions = {}): Promise<boolean> {
    const { status, output } = await this.#run('erase', key, options)
    if (status === 0) return true
    if (output.includes(NOT_FOUND)) return false
    throw this.#failure('erase', output)
  }

  /** The user name by key of everything that the helper keeps. */
  async list(options: CallOptions = {}): Promise<ReadonlyMap<string, string>> {
    const { status, output } = await this.#run('list', '', options)
    if (status !== 0) throw this.#failure('list', output)
    const what = `the answer of ${this.program}`
    const entries = Object.entries(parseSecretJson(output === '' ? '{}' : output, what))
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

  #failure(action: Action, output: string): S3loError {
    const said = printable(output)
    return new S3loError('UNAVAILABLE', `${this.program} ${action} failed${said && `: ${said}`}`)
  }
}

interface Outcome {
  readonly status: number
  /** Standard output: helpers tell their failures there, too. */
  readonly output: string
}

interface RunOptions {
  readonly input: string
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
}

/** Runs a program without a shell; whatever it leaves behind, this ends with `signal`. */
function runProgram(
  program: string,
  action: Action,
  { input, env, signal }: RunOptions,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [action], {
      env,
      windowsHide: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const { stdin, stdout } = child
    const chunks: Buffer[] = []
    let size = 0
    const fail = (error: unknown): void => {
      child.kill('SIGKILL')
      stdout.destroy()
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
    child.once('close', (code) => {
      signal.removeEventListener('abort', stop)
      resolve({ status: code ?? 1, output: Buffer.concat(chunks).toString('utf8').trim() })
    })
    // A helper may end without reading; its exit status tells.
    stdin.on('error', () => undefined)
    stdin.end(input)
  })
}
