import type { IncomingMessage } from 'node:http'
import type { ValidationTools } from '@s3lo/core'
import type { Answer } from './answer/answer.ts'
import type { RedirectOptions } from './answer/redirect.ts'
import type { Authorize } from './auth/principal.ts'
import type { Verification } from './judgement/verified-images.ts'

/** Answers a request instead of the registry, or lets it pass. */
export type Guard = (request: IncomingMessage) => Answer | undefined

/** Answers requests of one path beside `/v2/`: `/token`, `/metrics`. */
export type Page = (request: IncomingMessage) => Answer | Promise<Answer>

/** A request that was answered, for logs, audits and metrics. */
export interface Exchange {
  readonly method: string
  /** As the client wrote it: hostile. */
  readonly url: string
  readonly remoteAddress: string | undefined
  readonly userAgent: string | undefined
  /** Of the endpoint that was asked, where there is one. */
  readonly kind: string | undefined
  readonly repository: string | undefined
  /** A tag, digest or upload. */
  readonly reference: string | undefined
  readonly principal: string | undefined
  readonly status: number
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Milliseconds until the last byte was sent. */
  readonly duration: number
  /** What failed, as it was thrown: never for clients. */
  readonly error?: unknown
  /** The answer was cut off: by the client, or since its content is damaged. */
  readonly isCut: boolean
}

export interface RegistryOptions {
  /** Default: everyone may do everything. */
  readonly authorize?: Authorize | undefined
  /** Asked in their order, before anything else. */
  readonly guards?: readonly Guard[] | undefined
  /** By path. Guards hold for them too, authorization does not. */
  readonly pages?: Readonly<Record<string, Page>> | undefined
  /** The client's address in what is observed. Default: that of the connection. */
  readonly addressOf?: ((request: IncomingMessage) => string) | undefined
  /** Called with every request, once it is over. */
  readonly observe?: ((exchange: Exchange) => void) | undefined
  /** Called with the bytes of bodies as they pass, in either direction. */
  readonly passed?: ((bytes: number) => void) | undefined
  /** Default: clients are never sent to the store. */
  readonly redirect?: RedirectOptions | undefined
  /**
   * What policies that every push is held against are checked with. Default: nothing, so that a push
   * that one of them is about fails.
   */
  readonly policyTools?: ValidationTools | undefined
  /** Answers clients that may not push with images only that one of the keys signed. */
  readonly verification?: Verification | undefined
  /** Bytes of a blob that is pushed (default 10^15 - 1). */
  readonly maxBlobBytes?: number | undefined
  /** Refuses everything that would change the store. */
  readonly readOnly?: boolean | undefined
}
