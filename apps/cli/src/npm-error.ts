import { type ErrorCode, S3loError } from '@s3lo/core/plugin'

/** How many lines of npm an error quotes. */
const QUOTED_LINES = 2

const CHECK_NETWORK = 'check the network, and registry and proxy of npm: npm config list'

/** What npm's error codes mean; any other is taken for a network that fails. */
const MEANINGS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  E404: ['NOT_FOUND', 'check the name'],
  ETARGET: ['NOT_FOUND', 'check the version'],
  E401: ['UNAUTHORIZED', 'log in to the registry: npm login'],
  ENEEDAUTH: ['UNAUTHORIZED', 'log in to the registry: npm login'],
  E403: ['FORBIDDEN', 'ask for access to the package'],
  EACCES: ['FORBIDDEN', 'check the owner and the mode of the folder'],
  EPERM: ['FORBIDDEN', 'check the owner and the mode of the folder'],
  EROFS: ['IO', 'the folder is on a disk that takes no files'],
  ENOSPC: ['IO', 'free some space and try again'],
  EINTEGRITY: ['INTEGRITY', 'the registry gives other bytes than it promised'],
  TAR_BAD_ARCHIVE: ['INTEGRITY', 'it is no package: make it with npm pack'],
  TAR_ENTRY_ERROR: ['INTEGRITY', 'it is no package: make it with npm pack'],
  ENOENT: ['NOT_FOUND', 'check that it is a package: npm pack makes one'],
  ERESOLVE: ['PLUGIN_INCOMPATIBLE', 'it asks for versions that do not go together'],
  EBADENGINE: ['PLUGIN_INCOMPATIBLE', 'it asks for another version of Node'],
}

/** The error of an npm that failed: its own words, and the code of what they mean. */
export function npmFailed(what: string, lines: readonly string[]): S3loError {
  const npmCode = lines.map((line) => CODE.exec(line)?.[1]).find((code) => code !== undefined)
  const isNetwork = npmCode !== undefined && NETWORK.test(npmCode)
  const [code, hint] = MEANINGS[npmCode ?? ''] ?? ['UNAVAILABLE', CHECK_NETWORK]
  const quoted = lines
    .map((line) => line.replace(/^npm (?:error|ERR!)/, '').trim())
    .filter((line) => line !== '' && !NO_REASON.test(line))
    .slice(0, QUOTED_LINES)
  const reason = quoted.join('; ') || 'it said nothing'
  const failed = isNetwork ? 'could not reach its registry' : 'failed'
  return new S3loError(code, `${what} ${failed}: ${reason}`, { hint })
}

/** The error of an npm that was ended because it did not say anything any more. */
export function npmSilent(what: string): S3loError {
  return new S3loError(
    'UNAVAILABLE',
    `${what} could not reach its registry: nothing came for too long, so it was ended`,
    { hint: CHECK_NETWORK },
  )
}

/** Codes of npm that say that its registry could not be reached, or could not answer. */
const NETWORK =
  /^(?:E5\d\d|E429|ECONN\w+|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EIDLETIMEOUT|EHOSTUNREACH|ENETUNREACH|EPROTO|FETCH_ERROR|ERR_SOCKET_TIMEOUT|ERR_TLS\w*|CERT_\w+|SELF_SIGNED\w*|UNABLE_TO\w+|DEPTH_ZERO\w+)$/

const CODE = /^npm (?:error|ERR!) code (\w+)/

/** Lines of npm that tell people nothing: codes, stack traces, warnings, the file of its log. */
const NO_REASON =
  /^(?:code|errno|syscall|path|dest|address|port|type)\b|^npm (?:warn|WARN|notice)\b|^at |^\d{3}$|^A complete log|\.log$/
