import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type CallOptions, makeFolder, S3loError, toS3loError } from '@s3lo/core/plugin'
import { extract } from 'tar-stream'
import { EnvHttpProxyAgent, fetch } from 'undici'
import { executableName, installFolder } from './find-trivy.ts'

/** The release that is installed. */
export const TRIVY_VERSION = '0.67.2'

const RELEASES = 'https://github.com/aquasecurity/trivy/releases/download'
/** Bytes. The archive has about 50 MB, the program about 170 MB. */
const MAX_ARCHIVE_BYTES = 300 * 1024 * 1024
const MAX_PROGRAM_BYTES = 500 * 1024 * 1024
const MAX_CHECKSUM_BYTES = 256 * 1024

export interface InstallOptions extends CallOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where the releases are; default the project's own. */
  readonly releases?: string | undefined
  readonly platform?: string | undefined
  readonly arch?: string | undefined
}

/**
 * Downloads Trivy, compares it with the checksums of its release and puts it into `~/.local/bin`;
 * gives its path. Nothing is left behind, nor replaced, when anything fails. Throws `UNSUPPORTED` for
 * a system without a release, `UNAVAILABLE` without a network, `INTEGRITY` for other bytes, `IO` for
 * a folder that cannot be written.
 */
export async function installTrivy(options: InstallOptions): Promise<string> {
  const archive = archiveName(options)
  const folder = installFolder(options.env)
  try {
    return await installInto(folder, archive, options)
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!isSystemError(error)) throw error
    throw new S3loError('IO', `cannot install Trivy in ${folder}: ${error.message}`, {
      hint: 'install it elsewhere by hand and name it with --trivy-path or S3LO_TRIVY',
      cause: error,
    })
  }
}

/** What a call of the operating system failed with, as where there is no space or permission. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error
}

async function installInto(
  folder: string,
  archive: string,
  { env, releases = RELEASES, signal }: InstallOptions,
): Promise<string> {
  await makeFolder(folder)
  const staging = await mkdtemp(join(folder, '.s3lo-trivy-'))
  const agent = new EnvHttpProxyAgent({
    httpProxy: env['http_proxy'] ?? env['HTTP_PROXY'] ?? '',
    httpsProxy: env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '',
    noProxy: env['no_proxy'] ?? env['NO_PROXY'] ?? '',
  })
  try {
    const base = `${releases}/v${TRIVY_VERSION}`
    const download = new Download(agent, signal)
    const expected = await checksumOf(
      archive,
      await download.open(`${base}/trivy_${TRIVY_VERSION}_checksums.txt`),
    )
    const file = join(staging, 'archive')
    const actual = await save(await download.open(`${base}/${archive}`), file, signal)
    if (actual !== expected) {
      throw new S3loError(
        'INTEGRITY',
        `${archive} differs from its release: expected sha256:${expected}, got sha256:${actual}`,
        { hint: 'it was not installed; try again, and do not trust the network if this stays' },
      )
    }
    const program = join(staging, 'program')
    await extractProgram(file, program, signal)
    await chmod(program, 0o755)
    const installed = join(folder, executableName())
    await rename(program, installed)
    return installed
  } finally {
    await rm(staging, { recursive: true, force: true })
    await agent.close()
  }
}

class Download {
  readonly #agent: EnvHttpProxyAgent
  readonly #signal: AbortSignal | undefined

  constructor(agent: EnvHttpProxyAgent, signal: AbortSignal | undefined) {
    this.#agent = agent
    this.#signal = signal
  }

  /** The body of an answer. Throws `UNAVAILABLE`, as reading it does when the connection breaks. */
  async open(url: string): Promise<AsyncIterable<Uint8Array>> {
    const response = await fetch(url, {
      dispatcher: this.#agent,
      ...(this.#signal ? { signal: this.#signal } : {}),
    }).catch((cause: unknown) => {
      this.#signal?.throwIfAborted()
      throw unreachable(url, cause)
    })
    if (!response.ok || !response.body) {
      await response.body?.cancel()
      throw new S3loError('UNAVAILABLE', `${url} answers ${response.status}`)
    }
    return this.#read(url, Readable.fromWeb(response.body))
  }

  async *#read(url: string, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* body
    } catch (cause) {
      this.#signal?.throwIfAborted()
      throw new S3loError('UNAVAILABLE', `the download from ${new URL(url).host} broke off`, {
        hint: 'try again',
        cause,
      })
    }
  }
}

function unreachable(url: string, cause: unknown): S3loError {
  return new S3loError('UNAVAILABLE', `cannot reach ${new URL(url).host} to download Trivy`, {
    hint: 'install Trivy by hand and name it with --trivy-path or S3LO_TRIVY; HTTPS_PROXY is honoured',
    cause,
  })
}

/** Lines of `<hex>  <file>`, as sha256sum writes them. */
async function checksumOf(archive: string, body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ''
  for await (const chunk of body) {
    text += Buffer.from(chunk).toString('latin1')
    if (text.length > MAX_CHECKSUM_BYTES) {
      throw new S3loError('INTEGRITY', 'the checksums of the Trivy release are too long')
    }
  }
  for (const line of text.split('\n')) {
    const [hex, name] = line.trim().split(/\s+\*?/)
    if (name === archive && hex && /^[0-9a-f]{64}$/.test(hex)) return hex
  }
  throw new S3loError('INTEGRITY', `the Trivy release has no checksum for ${archive}`)
}

/** Writes the body to a file and gives its SHA-256. */
async function save(
  body: AsyncIterable<Uint8Array>,
  file: string,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256')
  const guard = limited(MAX_ARCHIVE_BYTES, 'the Trivy archive')
  await pipeline(
    body,
    async function* (source: AsyncIterable<Uint8Array>) {
      for await (const chunk of guard(source)) {
        hash.update(chunk)
        yield chunk
      }
    },
    createWriteStream(file, { mode: 0o600 }),
    signal ? { signal } : {},
  )
  return hash.digest('hex')
}

/**
 * Takes the one wanted file out of the archive and ignores all other entries and paths.
 * Throws `INTEGRITY` for what cannot be unpacked.
 */
async function extractProgram(
  archive: string,
  program: string,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await unpackProgram(archive, program, signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (isSystemError(error)) throw error
    throw toS3loError(error, 'INTEGRITY', 'the Trivy archive cannot be unpacked')
  }
}

async function unpackProgram(
  archive: string,
  program: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const entries = extract()
  const unpacking = pipeline(
    createReadStream(archive),
    createGunzip(),
    entries,
    signal ? { signal } : {},
  )
  let found = false
  const reading = (async () => {
    for await (const entry of entries) {
      if (found || entry.header.name !== executableName() || entry.header.type !== 'file') {
        entry.resume()
        continue
      }
      found = true
      const guard = limited(MAX_PROGRAM_BYTES, 'trivy')
      await pipeline(entry, guard, createWriteStream(program, { mode: 0o600 }))
    }
  })()
  await Promise.all([unpacking, reading])
  if (!found) throw new S3loError('INTEGRITY', 'the Trivy archive holds no trivy')
}

function limited(
  limit: number,
  what: string,
): (source: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array> {
  return async function* (source) {
    let size = 0
    for await (const chunk of source) {
      size += chunk.byteLength
      if (size > limit) throw new S3loError('INTEGRITY', `${what} is larger than ${limit} bytes`)
      yield chunk
    }
  }
}

/** The releases' own names: `Linux-64bit`, `macOS-ARM64`. */
function archiveName({
  platform = process.platform,
  arch = process.arch,
}: Pick<InstallOptions, 'platform' | 'arch'>): string {
  const system = { linux: 'Linux', darwin: 'macOS' }[platform]
  const processor = { x64: '64bit', arm64: 'ARM64' }[arch]
  if (system !== undefined && processor !== undefined) {
    return `trivy_${TRIVY_VERSION}_${system}-${processor}.tar.gz`
  }
  throw new S3loError('UNSUPPORTED', `Trivy cannot be installed for ${platform} on ${arch}`, {
    hint: 'install it by hand and name it with --trivy-path or S3LO_TRIVY',
  })
}
