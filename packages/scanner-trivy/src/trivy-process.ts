import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'

/** How a run of Trivy ended. */
export interface TrivyRun {
  /** `undefined` when a signal ended it. */
  readonly exitCode: number | undefined
  /** What ended it, where it did not end by itself. */
  readonly signal: string | undefined
  readonly output: string
  /** The last lines that it wrote about itself. */
  readonly remarks: string
}

/** The longest report that is taken (bytes): it is held in memory. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024
/** Of what Trivy says about itself, so much is kept (characters). */
const MAX_REMARKS = 4096

/** The environment that Trivy gets: ours, but for the credentials of stores, which it has no need of. */
const WITHHELD = /^(AWS_|AZURE_|GOOGLE_|GCLOUD_|COSIGN_|VAULT_)/

/**
 * Runs Trivy to its end and takes its standard output. Throws `UNSUPPORTED` when it cannot be
 * started, `INTEGRITY` for more output than is taken, and the signal's reason.
 */
export async function runTrivy(
  executable: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  { signal }: CallOptions,
): Promise<TrivyRun> {
  signal?.throwIfAborted()
  const child = spawn(executable, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !WITHHELD.test(name))),
    windowsHide: true,
    ...(signal ? { signal } : {}),
  })
  const ended = new Promise<Pick<TrivyRun, 'exitCode' | 'signal'>>((resolve, reject) => {
    child.once('error', (cause) => {
      reject(signal?.aborted ? signal.reason : notStarted(executable, cause))
    })
    child.once('close', (code, killer) => {
      resolve({ exitCode: code ?? undefined, signal: killer ?? undefined })
    })
  })
  try {
    const [end, output, remarks] = await Promise.all([
      ended,
      collect(child.stdout),
      lastOf(child.stderr),
    ])
    return { ...end, output, remarks }
  } finally {
    child.kill()
  }
}

async function collect(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk as Uint8Array)
    size += bytes.length
    if (size > MAX_OUTPUT_BYTES) {
      throw new S3loError('INTEGRITY', `trivy wrote more than ${MAX_OUTPUT_BYTES} bytes`)
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function lastOf(stream: Readable): Promise<string> {
  let text = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream) text = (text + String(chunk)).slice(-MAX_REMARKS)
  return text.trim()
}

function notStarted(executable: string, cause: Error): S3loError {
  return new S3loError('UNSUPPORTED', `${executable} could not be started: ${cause.message}`, {
    cause,
  })
}
