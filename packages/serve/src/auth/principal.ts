import type { IncomingMessage } from 'node:http'
import type { Answer } from '../answer/answer.ts'

export type Action = 'pull' | 'push' | 'delete' | 'catalog'

/** What a request is about to do; the request of a catalog names no repository. */
export interface Access {
  readonly action: Action
  readonly repository?: string | undefined
}

/** Who asks, as far as a request needs to know. */
export interface Principal {
  /** For logs and records: `alice`, `anonymous`. */
  readonly name: string
  /**
   * Whether the same request may do something else as well: read the repository that it mounts from,
   * or see one in a catalog.
   */
  may(access: Access): boolean
  /** May pull every repository there is: blobs are mounted for it from anywhere. */
  readonly pullsAll: boolean
}

export type Authorization =
  | { readonly kind: 'granted'; readonly principal: Principal }
  /** A challenge, or a refusal that tells nothing about what there is. */
  | {
      readonly kind: 'refused'
      readonly answer: Answer
      /** Whose the credentials are, where they are right. */
      readonly name?: string
    }

/** Decides whether a request may do `access`; `undefined` is `GET /v2/`, which any known client may. */
export type Authorize = (
  request: IncomingMessage,
  access: Access | undefined,
) => Authorization | Promise<Authorization>

/** Of a server for this machine only: everyone may do everything. */
export const EVERYONE: Principal = { name: 'anonymous', may: () => true, pullsAll: true }
