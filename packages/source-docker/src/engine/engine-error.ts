import { type ErrorCode, isS3loError, S3loError } from '@s3lo/core'
import { systemCode } from '../file-error.ts'
import type { EngineAddress } from './engine-address.ts'

/** Gives a failed connection its meaning. */
export function toConnectionError(error: unknown, { text }: EngineAddress): S3loError {
  if (isS3loError(error)) return error
  const code = systemCode(error) ?? ''
  const reason = error instanceof Error ? error.message : String(error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new S3loError('FORBIDDEN', `permission denied at the docker engine's ${text}`, {
      hint: 'join the docker group, or set DOCKER_HOST to an engine of your own',
      cause: error,
    })
  }
  if (/^(?:ECONNRESET|EPIPE)$/.test(code)) {
    return new S3loError('UNAVAILABLE', `the docker engine at ${text} closed the connection`, {
      hint: 'its log says why; an engine that wants TLS needs DOCKER_TLS_VERIFY',
      cause: error,
    })
  }
  if (TLS_ERROR.test(code)) {
    const [line] = reason.trim().split('\n', 1)
    return new S3loError('UNSUPPORTED', `TLS with the docker engine at ${text} failed: ${line}`, {
      hint: 'check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, or pass --tls-ca FILE',
      cause: error,
    })
  }
  return new S3loError('UNAVAILABLE', `docker engine is not reachable at ${text}: ${reason}`, {
    hint: 'start it, or set DOCKER_HOST or DOCKER_CONTEXT to one that runs',
    cause: error,
  })
}

const TLS_ERROR = /^(?:ERR_(?:TLS|SSL)_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/

/** Gives an answer that is no success its meaning, with the engine's words. */
export function toStatusError(status: number, message: string, what: string): S3loError {
  const code = STATUS_CODES[status] ?? (status >= 500 ? 'UNAVAILABLE' : 'UNSUPPORTED')
  if (code === 'NOT_FOUND') {
    return new S3loError('NOT_FOUND', `${what} is not there: ${message}`, {
      hint: 'docker image ls shows what the engine has',
    })
  }
  return new S3loError(code, `the docker engine answered ${status} about ${what}: ${message}`)
}

const STATUS_CODES: Readonly<Record<number, ErrorCode>> = {
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
  429: 'UNAVAILABLE',
}
