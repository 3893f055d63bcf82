import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ImageStore } from '@s3lo/core'
import { type Answer, jsonAnswer } from './answer/answer.ts'
import { errorAnswer, Refusal } from './answer/error.ts'
import { sendAnswer, type Sent } from './answer/send.ts'
import { EVERYONE } from './auth/principal.ts'
import type { Call } from './call.ts'
import type { RegistryOptions } from './options.ts'
import { openParts, type Parts } from './parts.ts'
import { countBody } from './request/count-body.ts'
import { discard } from './request/discard.ts'
import { accessOf, parseRoute, type Route } from './request/route.ts'
import { deleteBlob, getBlob } from './routes/blobs.ts'
import { deleteManifest } from './routes/delete-manifest.ts'
import { getManifest } from './routes/manifests.ts'
import { putManifest } from './routes/put-manifest.ts'
import { listReferrers } from './routes/referrers.ts'
import { listRepositories, listTags } from './routes/tags.ts'
import { beginUpload, continueUpload } from './routes/uploads.ts'

/** A store as a registry, to be mounted in any server of Node. */
export interface Registry {
  /** Answers any request: a listener of `createServer`. Never throws. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
}

/** What becomes known of a request while it is answered: the observer gets it. */
interface Trace {
  address?: string | undefined
  route?: Route
  /** Who asks. */
  name?: string | undefined
  error?: unknown
}

/** The store stays the caller's: it is closed after the server. */
export function createRegistry(store: ImageStore, options: RegistryOptions = {}): Registry {
  const parts = openParts(store, options)
  return {
    handle(request, response) {
      // An observer that throws has failed after the answer, which is none of the client's business.
      handle(parts, request, response).catch((error: unknown) => {
        process.emitWarning(error instanceof Error ? error : String(error))
      })
    },
  }
}

async function handle(
  parts: Parts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now()
  const { passed } = parts.options
  if (passed) countBody(request, passed)
  const leaving = new AbortController()
  response.once('close', () => leaving.abort())
  const trace: Trace = {}
  const answer = await answerTo(parts, request, trace, leaving.signal).catch((error: unknown) => {
    // What fails because the client has left is no failure.
    if (!leaving.signal.aborted) trace.error = error
    return errorAnswer(error)
  })
  discard(request)
  const isHead = request.method === 'HEAD'
  const sent = await sendAnswer(response, answer, { isHead, passed })
  observe(parts.options, { request, trace, status: answer.status, sent, started })
}

async function answerTo(
  parts: Parts,
  request: IncomingMessage,
  trace: Trace,
  signal: AbortSignal,
): Promise<Answer> {
  const { guards = [], pages = {}, authorize, addressOf } = parts.options
  // Read first: a connection that has ended has no address any more.
  trace.address = request.socket.remoteAddress
  trace.address = addressOf?.(request) ?? trace.address
  for (const guard of guards) {
    const answer = guard(request)
    if (answer) return answer
  }
  const { method = 'GET', url = '/' } = request
  const question = url.indexOf('?')
  const path = question < 0 ? url : url.slice(0, question)
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined
  if (page) return page(request)
  const route = parseRoute(path)
  if (!route) throw new Refusal('UNSUPPORTED', 'there is no such endpoint', { status: 404 })
  trace.route = route
  const authorization = await authorize?.(request, accessOf(method, route))
  if (authorization?.kind === 'refused') {
    trace.name = authorization.name
    return authorization.answer
  }
  const principal = authorization?.principal ?? EVERYONE
  trace.name = principal.name
  const query = new URLSearchParams(question < 0 ? '' : url.slice(question + 1))
  return dispatch(parts, route, { request, method, path, query, principal, signal })
}

function dispatch(parts: Parts, route: Route, call: Call): Answer | Promise<Answer> {
  const { method } = call
  const isRead = method === 'GET' || method === 'HEAD'
  if (parts.options.readOnly && !isRead) {
    throw new Refusal('UNSUPPORTED', 'this registry is read-only')
  }
  switch (route.kind) {
    case 'uploads':
      if (method === 'POST') return beginUpload(parts, route, call)
      break
    case 'upload':
      return continueUpload(parts, route, call)
    case 'manifest':
      if (method === 'PUT') return putManifest(parts, route, call)
      if (method === 'DELETE') return deleteManifest(parts, route, call)
      break
    case 'blob':
      if (method === 'DELETE') return deleteBlob(parts, route, call)
      break
    default:
  }
  if (isRead) return read(parts, route, call)
  throw new Refusal('UNSUPPORTED', `${method} is not supported here`)
}

function read(parts: Parts, route: Route, call: Call): Answer | Promise<Answer> {
  switch (route.kind) {
    case 'ping':
      return jsonAnswer({})
    case 'catalog':
      return listRepositories(parts.store, call)
    case 'manifest':
      return getManifest(parts, route, call)
    case 'blob':
      return getBlob(parts, route, call)
    case 'tags':
      return listTags(parts.store, route, call)
    case 'referrers':
      return listReferrers(parts, route, call)
    default:
      throw new Refusal('UNSUPPORTED', `${call.method} is not supported here`)
  }
}

interface Outcome {
  readonly request: IncomingMessage
  readonly trace: Trace
  readonly status: number
  readonly sent: Sent
  readonly started: number
}

function observe(
  options: RegistryOptions,
  { request, trace, status, sent, started }: Outcome,
): void {
  if (!options.observe) return
  const { address, route, name, error = sent.error } = trace
  const { method = '', url = '', headers } = request
  options.observe({
    method,
    url,
    remoteAddress: address,
    userAgent: headers['user-agent'],
    kind: route?.kind,
    repository: route && 'repository' in route ? route.repository : undefined,
    reference: route && referenceOf(route),
    principal: name,
    status,
    bytesReceived: Number(headers['content-length'] ?? 0),
    bytesSent: sent.bytes,
    duration: performance.now() - started,
    isCut: sent.isCut,
    ...(error === undefined ? {} : { error }),
  })
}

function referenceOf(route: Route): string | undefined {
  switch (route.kind) {
    case 'manifest':
      return route.reference
    case 'blob':
    case 'referrers':
      return route.digest
    case 'upload':
      return route.id
    default:
      return undefined
  }
}
