import type {
  HttpOperationResponse,
  RequestPolicy,
  RequestPolicyFactory,
  WebResource,
} from '@azure/storage-blob'
import { assertXmlRoot, ForeignAnswerError, isWebPage, MAX_ANSWER_BYTES } from '@s3lo/core/transfer'

/** The root element of each answer that is a document, by what the request asks for in `comp`. */
const ROOTS: Readonly<Record<string, string>> = {
  list: 'EnumerationResults',
  properties: 'StorageServiceProperties',
}

/**
 * Lets the clients of a pipeline throw `ForeignAnswerError` for an answer that only its status says
 * to be one. The SDK's own parser stumbles over some of them, and takes others for answers without
 * content. The SDK puts a policy before its parser only when its maker has this name.
 */
export class InjectorPolicyFactory implements RequestPolicyFactory {
  create(next: RequestPolicy): RequestPolicy {
    return {
      sendRequest: async (request) => {
        limitDocument(request)
        const response = await next.sendRequest(request)
        try {
          checkAnswer(request, response)
        } catch (error) {
          destroy(response.readableStreamBody)
          throw error
        }
        return response
      },
    }
  }
}

/** The SDK reads what is no content of a blob into one text. */
function limitDocument(request: WebResource): void {
  if ((request.streamResponseStatusCodes?.size ?? 0) > 0) return
  request.onDownloadProgress = ({ loadedBytes }) => {
    if (loadedBytes <= MAX_ANSWER_BYTES) return
    throw new ForeignAnswerError(`an answer of more than ${MAX_ANSWER_BYTES} bytes`)
  }
}

function checkAnswer(request: WebResource, response: HttpOperationResponse): void {
  const { status, headers, bodyAsText } = response
  if (status === 302 || status === 303) throw foreign(status, 'a redirection')
  // What is not there is known only from an error of the service itself.
  if (status === 404 && !headers.get('x-ms-error-code')) throw foreign(status, 'no error code')
  if (status >= 300) return
  const isOwn = headers.headerNames().some((name) => name.toLowerCase().startsWith('x-ms-'))
  if (isWebPage(headers.get('content-type')) && !isOwn) throw foreign(status, 'a web page')
  const root = request.method === 'GET' ? ROOTS[subjectOf(request)] : undefined
  if (root !== undefined) assertXmlRoot(bodyAsText ?? '', [root])
  const missing = headersOf(request).find((name) => !headers.get(name))
  if (missing !== undefined) throw foreign(status, `no ${missing}`)
}

/** What the request is about where that is not the blob itself. */
function subjectOf({ url }: WebResource): string {
  return new URL(url).searchParams.get('comp') ?? ''
}

const FACTS = ['etag', 'last-modified'] as const

/**
 * The headers that the answer to a request cannot be without. Deletions, copies and blocks have
 * none; a status of their own says that they were done.
 */
function headersOf(request: WebResource): readonly string[] {
  const { method, headers } = request
  const subject = subjectOf(request)
  if (method === 'HEAD') return [...FACTS, 'content-length']
  if (method === 'GET') return subject === '' ? FACTS : []
  if (method !== 'PUT' || headers.contains('x-ms-copy-source')) return []
  if (subject === 'metadata') return ['etag']
  return subject === '' || subject === 'blocklist' ? FACTS : []
}

function foreign(status: number, got: string): ForeignAnswerError {
  return new ForeignAnswerError(`HTTP ${status} with ${got}`)
}

function destroy(stream: NodeJS.ReadableStream | undefined): void {
  if (stream && 'destroy' in stream && typeof stream.destroy === 'function') stream.destroy()
}
