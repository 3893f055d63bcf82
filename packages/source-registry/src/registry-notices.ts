import { retryAfterMs } from '@s3lo/core/transfer'
import type { HttpHeaders } from './http.ts'
import { formatWait, rateLimitOf } from './rate-limit.ts'
import { printable } from './registry-error.ts'

const MAX_WARNING_HEADER = 4096
const MAX_NOTICES = 100
/** Shorter waits are not worth a line. */
const MIN_WAIT_SECONDS = 5

/** Tells what a registry lets its users know, each line once. */
export class RegistryNotices {
  readonly #host: string
  readonly #onNotice: ((message: string) => void) | undefined
  readonly #told = new Set<string>()

  constructor(host: string, onNotice: ((message: string) => void) | undefined) {
    this.#host = host
    this.#onNotice = onNotice
  }

  /** Reads the headers of an answer of the registry itself. */
  read(status: number, headers: HttpHeaders): void {
    if (!this.#onNotice) return
    for (const text of warningsIn(headers.get('warning') ?? '')) {
      this.#once(text, `the registry ${this.#host} says: ${text}`)
    }
    if (status === 429) this.#readWait(headers)
    else this.#readLimit(headers)
  }

  /** Tells of something that was seen of the registry. */
  tell(message: string): void {
    this.#once(message, message)
  }

  #readWait(headers: HttpHeaders): void {
    const seconds = (retryAfterMs(headers.get('retry-after')) ?? 0) / 1000
    if (seconds < MIN_WAIT_SECONDS) return
    this.#once('wait', `the registry ${this.#host} asks to wait ${formatWait(seconds)}`)
  }

  /** Says when a tenth of the pulls is left: there is time to log in. */
  #readLimit(headers: HttpHeaders): void {
    const found = rateLimitOf(headers)
    if (!found || found.remaining * 10 > found.limit) return
    const { limit, remaining, windowSeconds } = found
    const per = windowSeconds === undefined ? '' : ` in ${formatWait(windowSeconds)}`
    this.#once(
      'limit',
      `the registry ${this.#host} allows ${remaining} more of ${limit} pulls${per}; a login may raise this: s3lo login ${this.#host}`,
    )
  }

  #once(key: string, message: string): void {
    if (this.#told.has(key) || this.#told.size >= MAX_NOTICES) return
    this.#told.add(key)
    this.#onNotice?.(message)
  }
}

/** The texts of a `Warning` header (OCI distribution spec v1.1.1, "warnings"). */
function warningsIn(header: string): readonly string[] {
  const found = header.slice(0, MAX_WARNING_HEADER).matchAll(/299 [^\s"]+ "((?:[^"\\]|\\.)*)"/g)
  return [...found].map(([, text = '']) => printable(text.replaceAll(/\\(.)/g, '$1')))
}
