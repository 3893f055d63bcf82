/** What storage backends and registry clients have in common: attempts, parts and bodies. */
export {
  assertXmlRoot,
  ForeignAnswerError,
  foreignAnswer,
  hasXmlRoot,
  isWebPage,
  MAX_ANSWER_BYTES,
} from './answer.ts'
export {
  clockSkewMinutes,
  type Failure,
  failureOf,
  type Meaning,
  networkFailure,
  MEANING,
  meaningOfStatus,
  refusalOf,
  withClock,
  retryAfterMs,
  stalled,
  withDeadline,
} from './failure.ts'
export { type GuardedWrite, guardedWrite } from './guarded-write.ts'
export { ByteBudget } from '../concurrency/byte-budget.ts'
export { type NetworkBackend, networkBackend, type TransferOptions } from './network-backend.ts'
export type * from './network-service.ts'
export {
  bareEtag,
  openObject,
  placeOf,
  rangeOf,
  type ObjectPiece,
  type OpenObjectOptions,
  type PieceRequest,
} from './open-object.ts'
export { HttpClient, type HttpRequest, limitConnect, readAnswer } from './http-client.ts'
export { followPages, type Page } from './pages.ts'
export { withReadBuffers } from './read-buffers.ts'
export { PartReader, type PartReaderOptions } from './part-reader.ts'
export { BufferPool, type Part, type PartOptions, readParts } from './parts.ts'
export { isRefused, isTrusted, probe } from './probe.ts'
export {
  type Attempt,
  type CallSettings,
  DEFAULT_RETRY_POLICY,
  RequestError,
  Requests,
  type RetryPolicy,
  type ToFailure,
  toThrown,
} from './requests.ts'
export { type OpenRest, ResumableBody, type ResumableBodyOptions } from './resumable-body.ts'
export { type SendPartsOptions, sendParts, type SentParts } from './send-parts.ts'
export { ServiceCalls } from './service-calls.ts'
export { StallTimer } from './stall-timer.ts'
export { untilAborted } from './until-aborted.ts'
export { assembleObject } from './write-object.ts'
