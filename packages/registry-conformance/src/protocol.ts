/** The requests that cases are made of; each throws where the answer is another than the expected. */
import type { CaseContext } from './conformance-case.ts'
import { Lacking } from './conformance-case.ts'
import { type Algorithm, digestOf, type Document, type Image } from './content.ts'
import {
  expectBytes,
  expectHeader,
  expectHeaderIfAny,
  expectStatus,
  locationOf,
  Mismatch,
  nextPage,
  withQuery,
} from './expect.ts'
import { headerOf, type RegistryRequest, type Reply } from './http/message.ts'

type Client = CaseContext['client']

export const OCTETS = { 'content-type': 'application/octet-stream' }

export const paths = {
  blob: (repository: string, digest: string): string => `/v2/${repository}/blobs/${digest}`,
  uploads: (repository: string, query = ''): string => `/v2/${repository}/blobs/uploads/${query}`,
  manifest: (repository: string, reference: string): string =>
    `/v2/${repository}/manifests/${reference}`,
  tags: (repository: string, query = ''): string => `/v2/${repository}/tags/list${query}`,
  referrers: (repository: string, digest: string, query = ''): string =>
    `/v2/${repository}/referrers/${digest}${query}`,
}

/** An upload that was begun. */
export interface Upload {
  readonly location: string
  /** Bytes of the smallest chunk that the registry takes. */
  readonly minChunk: number
}

/** Chunks of less are not usual. */
const MIN_CHUNK = 1024

export async function beginUpload(client: Client, repository: string): Promise<Upload> {
  const reply = await client.send({ method: 'POST', path: paths.uploads(repository) })
  expectStatus(reply, 202)
  return uploadOf(reply)
}

export function uploadOf(reply: Reply): Upload {
  const said = Number(headerOf(reply, 'oci-chunk-min-length') ?? 0)
  return { location: locationOf(reply), minChunk: Math.max(MIN_CHUNK, said) }
}

/** Ends an upload, with the rest of the blob where there is one; gives where the blob is. */
export async function finishUpload(
  client: Client,
  location: string,
  digest: string,
  more: Partial<RegistryRequest> = {},
): Promise<string> {
  const reply = await putUpload(client, location, digest, more)
  expectStatus(reply, 201)
  return locationOf(reply)
}

export function putUpload(
  client: Client,
  location: string,
  digest: string,
  more: Partial<RegistryRequest> = {},
): Promise<Reply> {
  const path = withQuery(location, { digest })
  return client.send({ method: 'PUT', path, ...more, headers: { ...OCTETS, ...more.headers } })
}

/** Uploads a blob in the way that every registry knows: POST and PUT. */
export async function putBlob(
  client: Client,
  repository: string,
  bytes: Uint8Array,
  algorithm: Algorithm = 'sha256',
): Promise<string> {
  const { location } = await beginUpload(client, repository)
  return finishUpload(client, location, digestOf(bytes, algorithm), { body: bytes })
}

/** One chunk; `first` is where its first byte lies in the blob. */
export function sendChunk(
  client: Client,
  location: string,
  chunk: Uint8Array,
  first: number,
  half?: Promise<void>,
): Promise<Reply> {
  const headers = { ...OCTETS, 'content-range': rangeOf(chunk, first) }
  const held = half === undefined ? {} : { half }
  return client.send({ method: 'PATCH', path: location, body: chunk, headers, ...held })
}

export function rangeOf(chunk: Uint8Array, first: number): string {
  return `${first}-${first + chunk.byteLength - 1}`
}

/** What the answer to a chunk, or about an upload, says that there is: the last byte and where next. */
export function expectProgress(reply: Reply, status: number, bytes: number): string {
  expectStatus(reply, status)
  const range = headerOf(reply, 'range')
  // While nothing is there, no range of bytes can say so.
  const isRight = bytes === 0 ? /^0-\d+$/.test(range ?? '0-0') : range === `0-${bytes - 1}`
  if (!isRight) throw new Mismatch('Range', `0-${bytes - 1}`, range)
  return locationOf(reply)
}

export function putManifest(
  client: Client,
  repository: string,
  reference: string,
  { bytes, mediaType }: Pick<Document, 'bytes' | 'mediaType'>,
  more: Partial<RegistryRequest> = {},
): Promise<Reply> {
  const headers = { 'content-type': mediaType, ...more.headers }
  const path = paths.manifest(repository, reference)
  return client.send({ method: 'PUT', path, body: bytes, ...more, headers })
}

/** Pushes an image with its blobs, under each of the references. */
export async function putImage(
  client: Client,
  repository: string,
  { document, blobs }: Image,
  ...references: readonly string[]
): Promise<void> {
  for (const blob of blobs) await putBlob(client, repository, blob)
  await putDocument(client, repository, document, ...references)
}

export async function putDocument(
  client: Client,
  repository: string,
  document: Document,
  ...references: readonly string[]
): Promise<void> {
  for (const reference of references.length === 0 ? [document.digest] : references) {
    expectStatus(await putManifest(client, repository, reference, document), 201)
  }
}

export function expectBlob(
  context: CaseContext,
  reply: Reply,
  bytes: Buffer,
  digest: string,
): void {
  expectStatus(reply, 200)
  expectHeader(reply, 'content-length', String(bytes.byteLength))
  expectDigest(context, reply, digest, 'blob-digest-header')
  if (reply.method === 'GET') expectBytes(reply, bytes)
}

export function expectDocument(
  context: CaseContext,
  reply: Reply,
  document: Document,
  digest = document.digest,
): void {
  expectStatus(reply, 200)
  expectHeader(reply, 'content-type', document.mediaType)
  expectHeader(reply, 'content-length', String(document.bytes.byteLength))
  expectDigest(context, reply, digest, 'manifest-digest-header')
  if (reply.method === 'GET') expectBytes(reply, document.bytes)
}

function expectDigest(
  { has }: CaseContext,
  reply: Reply,
  digest: string,
  feature: 'blob-digest-header' | 'manifest-digest-header',
): void {
  const expects = has(feature) ? expectHeader : expectHeaderIfAny
  expects(reply, 'docker-content-digest', digest)
}

/** A DELETE that works, or says that the registry does not do it. */
export async function expectDeleted(
  client: Client,
  path: string,
  feature: 'blob-delete' | 'manifest-delete' | 'tag-delete',
): Promise<void> {
  const reply = await client.send({ method: 'DELETE', path })
  const unsupported = feature === 'blob-delete' ? [405] : [400, 405]
  if (unsupported.includes(reply.status)) {
    throw new Lacking(feature, `DELETE is answered ${reply.status}`)
  }
  expectStatus(reply, 202)
}

/** What was deleted is not to be seen any more. */
export async function expectGone(client: Client, path: string): Promise<void> {
  const reply = await client.send({ method: 'HEAD', path })
  if (reply.status === 200) throw new Lacking('delete-atomic', 'HEAD after DELETE is answered 200')
  expectStatus(reply, 404)
}

/** What no listing of the suite needs. */
const MAX_PAGES = 10_000

/** The pages of a listing, as the Links lead through them; none may come twice. */
export async function* pagesFrom(client: Client, path: string): AsyncGenerator<Reply> {
  const seen = new Set<string>()
  let next: string | undefined = path
  while (next !== undefined) {
    if (seen.has(next) || seen.size >= MAX_PAGES) throw new Mismatch('Link', 'a new page', next)
    seen.add(next)
    const reply: Reply = await client.send({ method: 'GET', path: next })
    yield reply
    next = nextPage(reply)
  }
}
