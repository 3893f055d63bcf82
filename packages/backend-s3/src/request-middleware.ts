import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3RequestPresigner } from '@aws-sdk/s3-request-presigner'

type HttpRequest = Parameters<S3RequestPresigner['presign']>[0]

/** When the service answered, by its own clock: the time of a write, whose answer says no other. */
const dates = new WeakMap<object, Date>()

/** The service's time of an answer. */
export function dateOf(answer: { readonly $metadata: object }): Date | undefined {
  return dates.get(answer.$metadata)
}

/** Lets {@link dateOf} know the answers of a client; `onServer` gets the name that the service gives itself. */
export function addDate(client: S3Client, onServer: (name: string) => void): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const metadata = result.output?.$metadata
      onServer(header(result.response, 'server') ?? '')
      const date = Date.parse(header(result.response, 'date') ?? '')
      if (metadata && !Number.isNaN(date)) dates.set(metadata, new Date(date))
      return result
    },
    { step: 'deserialize', priority: 'high', name: 's3loDate' },
  )
}

/** A command of the SDK, as far as its middleware goes. */
interface Extensible {
  readonly middlewareStack: PutObjectCommand['middlewareStack']
}

/**
 * Signs the command's request in the query in place of a header, where a signature has an end. To
 * be called once for a command.
 */
export function signUntil(
  command: object,
  presign: (request: HttpRequest) => Promise<HttpRequest>,
): void {
  ;(command as Extensible).middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as HttpRequest
      const headers = Object.entries(request.headers).filter(([name]) => !SIGNED.has(name))
      const unsigned = changed(request, { headers: Object.fromEntries(headers) })
      return next({ ...args, request: await presign(unsigned) })
    },
    // After the SDK's own signature, which it replaces.
    { step: 'finalizeRequest', priority: 'low', name: 's3loDeadline' },
  )
}

/** What the header signature has added. */
const SIGNED = new Set([
  'authorization',
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
])

/** Adds the MD5 of the command's body, which every service knows, in place of newer checksums. */
export function addMd5(command: object): void {
  ;(command as Extensible).middlewareStack.add(
    (next) => async (args) => {
      const { body, headers } = args.request as HttpRequest
      if (typeof body === 'string' || body instanceof Uint8Array) {
        headers['content-md5'] = createHash('md5').update(body).digest('base64')
      }
      return next(args)
    },
    { step: 'build', priority: 'low', name: 's3loMd5' },
  )
}

/**
 * Sends the first half of the command's body, and the rest once `hold` resolves, which is called
 * when the first half is on its way. To be called once for a command.
 */
export function holdBody(command: object, hold: () => Promise<void>): void {
  changeBody(command, (body) => Readable.from(inHalves(body, hold), { objectMode: false }))
}

/** Sends another body of the same length than the one that is signed. To be called once for a command. */
export function replaceBody(command: object, sent: Uint8Array): void {
  changeBody(command, () => sent)
}

function changeBody(command: object, change: (body: Uint8Array) => unknown): void {
  ;(command as Extensible).middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as HttpRequest
      if (!(request.body instanceof Uint8Array)) return next(args)
      return next({ ...args, request: changed(request, { body: change(request.body) }) })
    },
    // After the signature, which is made of the whole body.
    { step: 'finalizeRequest', priority: 'low', name: 's3loBody' },
  )
}

async function* inHalves(
  body: Uint8Array,
  hold: () => Promise<void>,
): AsyncGenerator<Uint8Array, void> {
  const half = body.byteLength >> 1
  yield body.subarray(0, half)
  await hold()
  yield body.subarray(half)
}

/** The SDK's own request must stay as it is. */
function changed(request: HttpRequest, changes: Partial<HttpRequest>): HttpRequest {
  return Object.assign(Object.create(Object.getPrototypeOf(request)), request, changes)
}

function header(response: unknown, name: string): string | undefined {
  if (typeof response !== 'object' || response === null || !('headers' in response)) {
    return undefined
  }
  const { headers } = response
  if (typeof headers !== 'object' || headers === null) return undefined
  const value = (headers as Record<string, unknown>)[name]
  return typeof value === 'string' ? value : undefined
}
