import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CheckResult, runConformance } from '../src/index.ts'
import { type MemoryRegistryOptions, startRegistry, USER } from './support/memory-registry.ts'

/** A registry with one line that is wrong, and the case that must see it. */
interface Mutant {
  readonly name: string
  /** What stands once in the sources of the registry. */
  readonly from: string
  readonly to: string
  /** `suite/case`. */
  readonly caughtBy: string
  readonly options?: MemoryRegistryOptions
}

const mutants: readonly Mutant[] = [
  {
    name: 'says that a blob is not allowed in place of not there',
    from: "throw new Refusal(404, 'BLOB_UNKNOWN')",
    to: "throw new Refusal(403, 'BLOB_UNKNOWN')",
    caughtBy: 'pull/a blob of sha256 that is not there',
  },
  {
    name: 'says the wrong error',
    from: "throw new Refusal(404, 'MANIFEST_UNKNOWN')",
    to: "throw new Refusal(404, 'BLOB_UNKNOWN')",
    caughtBy: 'pull/a tag that is not there',
  },
  {
    name: 'writes errors in a form of its own',
    from: 'JSON.stringify({ errors: [{ code: error.code, message: error.message }] })',
    to: 'JSON.stringify({ error: error.code })',
    caughtBy: 'pull/a tag that is not there',
  },
  {
    name: 'gives one byte more than the range',
    from: 'bytes.subarray(range.first, range.last + 1)',
    to: 'bytes.subarray(range.first, range.last + 2)',
    caughtBy: 'pull/ranges of a blob',
  },
  {
    name: 'does not clamp a range',
    from: 'last: Math.min(Number(to), size - 1)',
    to: 'last: Number(to)',
    caughtBy: 'pull/ranges of a blob',
  },
  {
    name: 'reads a suffix as a prefix',
    from: '{ first: Math.max(0, size - Number(to)), last: size - 1 }',
    to: '{ first: 0, last: Number(to) - 1 }',
    caughtBy: 'pull/ranges of a blob',
  },
  {
    name: 'gives an empty part for a range outside',
    from: "if (Number(from) >= size) return 'outside'",
    to: 'if (Number(from) >= size) return { first: size, last: size - 1 }',
    caughtBy: 'pull/ranges of a blob',
  },
  {
    name: 'has no ranges',
    from: "method === 'GET' ? rangeOf(request.headers.range, bytes.byteLength) : undefined",
    to: 'undefined as Range',
    caughtBy: 'pull/ranges of a blob',
  },
  {
    name: 'answers a part with 200',
    from: 'sendBytes(method, response, 206',
    to: 'sendBytes(method, response, 200',
    caughtBy: 'pull/ranges of a blob',
  },
  {
    name: 'does not obey If-None-Match',
    from: "request.headers['if-none-match'] === etag",
    to: "request.headers['if-none-match'] === '*'",
    caughtBy: 'pull/conditions on a manifest',
  },
  {
    name: 'does not obey If-Match',
    from: 'if (match !== undefined && match !==',
    to: 'if (match === "" && match !==',
    caughtBy: 'pull/conditions on a manifest',
  },
  {
    name: 'overwrites in spite of If-None-Match: *',
    from: "if (noneMatch === '*' && current",
    to: "if (noneMatch === '' && current",
    caughtBy: 'pull/conditions on a manifest',
  },
  {
    name: 'names another digest of a blob',
    from: "response.setHeader('docker-content-digest', digest)\n    response.setHeader('content-type', 'application/octet-stream')",
    to: "response.setHeader('docker-content-digest', digestOf(bytes, 'sha256:'))\n    response.setHeader('content-type', 'application/octet-stream')",
    caughtBy: 'push blobs/sha512 POST and PUT',
  },
  {
    name: 'names no digest of a manifest',
    from: "response.setHeader('docker-content-digest', digest)\n    response.setHeader('content-type', manifest.mediaType)",
    to: "response.setHeader('content-type', manifest.mediaType)",
    caughtBy: 'data/image',
  },
  {
    name: 'gives media types with a charset',
    from: "response.setHeader('content-type', manifest.mediaType)",
    to: "response.setHeader('content-type', `${manifest.mediaType}; charset=utf-8`)",
    caughtBy: 'data/image',
  },
  {
    name: 'gives no length to HEAD',
    from: "response.setHeader('content-length', bytes.byteLength)",
    to: "if (method !== 'HEAD') response.setHeader('content-length', bytes.byteLength)",
    caughtBy: 'data/image',
  },
  {
    name: 'gives the length zero to HEAD',
    from: "response.setHeader('content-length', bytes.byteLength)",
    to: "response.setHeader('content-length', method === 'HEAD' ? 0 : bytes.byteLength)",
    caughtBy: 'push blobs/sha256 POST and PUT',
  },
  {
    name: 'writes manifests anew',
    from: 'manifests.set(digest, { bytes, mediaType })',
    to: 'manifests.set(digest, { bytes: Buffer.from(JSON.stringify(fieldsOf(bytes))), mediaType })',
    caughtBy: 'push manifests/a manifest is kept as it is',
  },
  {
    name: 'takes a manifest under the digest of another',
    from: "if (digestOf(bytes, digest) !== digest) throw new Refusal(400, 'DIGEST_INVALID')\n    const { subject }",
    to: 'const { subject }',
    caughtBy: 'push manifests/a manifest with a digest of other bytes',
  },
  {
    name: 'takes manifests of another media type than their own',
    from: 'if (fields.mediaType !== undefined && fields.mediaType !== mediaType) throw invalid()',
    to: '',
    caughtBy: 'push manifests/a manifest with another media type than its own',
  },
  {
    name: 'does not look at the digests of descriptors',
    from: "if (typeof part?.digest !== 'string' || !DIGEST.test(part.digest)) throw invalid()",
    to: "if (part?.digest === '') throw invalid()",
    caughtBy: 'push manifests/a manifest with a config that is no descriptor',
    options: { sparse: true },
  },
  {
    name: 'looks for foreign layers',
    from: "!FOREIGN.test(part?.mediaType ?? '')",
    to: 'part !== undefined',
    caughtBy: 'data/foreign layers',
  },
  {
    name: 'looks for the subject',
    from: 'const own = all.filter(',
    to: 'if (fields.subject && !manifests.has(fields.subject.digest ?? "")) throw invalid()\n    const own = all.filter(',
    caughtBy: 'data/artifact whose subject is missing',
  },
  {
    name: 'takes manifests of the OCI only',
    from: "  'application/vnd.docker.distribution.manifest.v2+json',\n",
    to: '',
    caughtBy: 'data/Docker image and manifest list',
  },
  {
    name: 'refuses large manifests',
    from: 'const MAX_MANIFEST = 8 * 1024 * 1024',
    to: 'const MAX_MANIFEST = 1024 * 1024',
    caughtBy: 'data/large manifest',
  },
  {
    name: 'refuses long tags',
    from: '{0,127}$/',
    to: '{0,126}$/',
    caughtBy: 'tags/every spelling of a tag',
  },
  {
    name: 'takes tags that are too long',
    from: '{0,127}$/',
    to: '{0,128}$/',
    caughtBy: 'push manifests/a manifest with a tag of 129 characters',
  },
  {
    name: 'keeps the first content of a tag',
    from: 'if (reference !== digest) tags.set(reference, digest)',
    to: 'if (reference !== digest && current === undefined) tags.set(reference, digest)',
    caughtBy: 'push manifests/a tag that moves',
  },
  {
    name: 'does not name the tags of a query',
    from: "if (named.length > 0) response.setHeader('oci-tag', named)",
    to: '',
    caughtBy: 'push manifests/a manifest of sha256 with tags in the query',
  },
  {
    name: 'takes one tag of a query',
    from: 'for (const tag of named) tags.set(tag, digest)',
    to: 'for (const tag of named.slice(0, 1)) tags.set(tag, digest)',
    caughtBy: 'push manifests/a manifest of sha256 with tags in the query',
  },
  {
    name: 'does not name the subject',
    from: "if (subject?.digest !== undefined) response.setHeader('oci-subject', subject.digest)",
    to: 'if (subject) response.setHeader("x", "y")',
    caughtBy: 'data/artifacts with a subject',
  },
  {
    name: 'gives no Location of a blob',
    from: "response.setHeader('location', `/v2/${repository}/blobs/${digest}`)",
    to: '',
    caughtBy: 'push blobs/sha256 POST and PUT',
  },
  {
    name: 'gives the Location of the upload for the blob',
    from: '/v2/${repository}/blobs/${digest}`)',
    to: '/v2/${repository}/blobs/uploads/${digest}`)',
    caughtBy: 'push blobs/sha256 POST and PUT',
  },
  {
    name: 'does not look at the digest of a blob',
    from: "if (digestOf(bytes, digest) !== digest) throw new Refusal(400, 'DIGEST_INVALID')\n    this",
    to: 'this',
    caughtBy: 'push refused/sha256 of other bytes, stream',
  },
  {
    name: 'takes digests of upper case',
    from: 'sha256:[a-f0-9]{64}|',
    to: 'sha256:[a-fA-F0-9]{64}|',
    caughtBy: 'referrers/referrers of what is not there',
  },
  {
    name: 'answers 500 to a bad digest',
    from: "if (!isDigest && reference.includes(':')) throw new Refusal(400, 'DIGEST_INVALID')",
    to: "if (!isDigest && reference.includes(':')) throw new Refusal(500, 'DIGEST_INVALID')",
    caughtBy: 'pull/a manifest of a bad digest',
  },
  {
    name: 'knows sha256 only',
    from: '|sha512:[a-f0-9]{128})$/',
    to: ')$/',
    caughtBy: 'push blobs/sha512 POST and PUT',
  },
  {
    name: 'takes chunks in any order',
    from: 'Number(first) !== offset',
    to: 'Number(first) < 0',
    caughtBy: 'push chunks/sha256 chunks out of order',
  },
  {
    name: 'takes a last chunk at any place',
    from: "if (isMisplaced && (method === 'PATCH' || header !== undefined)) {",
    to: "if (isMisplaced && method === 'PATCH') {",
    caughtBy: 'push chunks/sha256 chunks out of order, the last by PUT',
  },
  {
    name: 'ends an upload after a chunk out of order',
    from: "response.setHeader('range', rangeText(upload.bytes.byteLength))",
    to: 'this.#uploads.clear()',
    caughtBy: 'push chunks/sha256 chunks out of order',
  },
  {
    name: 'forgets the chunks before',
    from: 'upload.bytes = Buffer.concat([upload.bytes, body])',
    to: 'upload.bytes = body',
    caughtBy: 'push chunks/sha256 chunks',
  },
  {
    name: 'says one byte too many',
    from: 'return `0-${Math.max(0, size - 1)}`',
    to: 'return `0-${size}`',
    caughtBy: 'push chunks/sha256 chunks',
  },
  {
    name: 'takes chunks of another length than they say',
    from: "if (isLong) throw new Refusal(400, 'SIZE_INVALID')",
    to: '',
    caughtBy: 'push refused/a chunk with the range 0-1022, which is shorter than the chunk',
  },
  {
    name: 'takes ranges that are none',
    from: "if (first === undefined || last === undefined) throw new Refusal(400, 'BLOB_UPLOAD_INVALID')",
    to: 'if (first === undefined) return void (upload.bytes = await bodyOf(request))',
    caughtBy: 'push refused/a chunk with the range a-b, which is no range',
  },
  {
    name: 'lets two chunks for one place overwrite each other',
    from: 'const isMisplaced = upload.bytes.byteLength !== offset || ',
    to: 'const isMisplaced = ',
    caughtBy: 'push chunks/two chunks at once for one place',
  },
  {
    name: 'keeps what came of a chunk that was cut off, twice',
    from: 'const body = await bodyOf(request)\n',
    to: 'const body = await bodyOf(request).catch((e) => { upload.bytes = Buffer.concat([upload.bytes, Buffer.alloc(4096)]); throw e })\n',
    caughtBy: 'push chunks/a chunk that is cut off after 700 bytes',
  },
  {
    name: 'mounts what is not there',
    from: 'if (bytes === undefined) return false',
    to: 'if (bytes === undefined) return true',
    caughtBy: 'push blobs/sha256 mount of what is not there',
  },
  {
    name: 'says mounted and does nothing',
    from: 'this.#repository(repository).blobs.set(digest, bytes)\n    return true',
    to: 'return true',
    caughtBy: 'push blobs/sha256 mount',
  },
  {
    name: 'mounts from one repository only where it is named',
    from: 'from === null ? [...this.#repositories.values()] :',
    to: 'from === null ? [] :',
    caughtBy: 'push blobs/sha256 mount without a repository',
  },
  {
    name: 'does not cancel',
    from: 'this.#uploads.delete(id)\n      return void response.writeHead(204)',
    to: 'return void response.writeHead(204)',
    caughtBy: 'management/an upload with 0 bytes is cancelled',
  },
  {
    name: 'shows uploads of other repositories',
    from: "if (upload.repository !== call.repository) throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN')",
    to: '',
    caughtBy: 'management/a repository shows its own content only',
  },
  {
    name: 'has one set of blobs for all repositories',
    from: 'const { blobs } = this.#repository(repository)\n    if',
    to: 'const blobs = new Map([...this.#repositories.values()].flatMap((one) => [...one.blobs]))\n    if',
    caughtBy: 'management/a repository shows its own content only',
  },
  {
    name: 'deletes the manifest with its tag',
    from: 'if (!isDigest) tags.delete(reference)\n      else this',
    to: 'this',
    caughtBy: 'management/a tag is deleted',
  },
  {
    name: 'keeps tags of deleted manifests',
    from: 'if (tagged === digest) tags.delete(tag)',
    to: 'if (tagged === tag) tags.delete(tag)',
    caughtBy: 'management/a manifest is deleted',
  },
  {
    name: 'deletes nothing',
    from: 'blobs.delete(digest)',
    to: '',
    caughtBy: 'management/a blob is deleted',
  },
  {
    name: 'answers 404 to deletes of blobs',
    from: 'blobs.delete(digest)\n      return void response.writeHead(202)',
    to: 'return void response.writeHead(404)',
    caughtBy: 'push blobs/sha256 POST and PUT',
  },
  {
    name: 'lists tags as they came',
    from: 'const all = [...this.#repository(repository).tags.keys()].toSorted()',
    to: 'const all = [...this.#repository(repository).tags.keys()]',
    caughtBy: 'tags/tags in order, in pages',
  },
  {
    name: 'includes the last tag of the page before',
    from: 'filter((tag) => tag > last)',
    to: 'filter((tag) => tag >= last)',
    caughtBy: 'tags/tags in order, in pages',
  },
  {
    name: 'ignores n',
    from: 'after.slice(0, Math.min(n, TAG_PAGE))',
    to: 'after.slice(0, TAG_PAGE)',
    caughtBy: 'tags/tags in order, in pages',
  },
  {
    name: 'gives a Link after no tags',
    from: 'if (n > 0 && after.length > tags.length) {',
    to: 'if (after.length > tags.length) {',
    caughtBy: 'tags/tags in order, in pages',
  },
  {
    name: 'gives no Link',
    from: 'if (n > 0 && after.length > tags.length) {',
    to: 'if (n < 0) {',
    caughtBy: 'tags/many tags',
  },
  {
    name: 'gives a Link of another form',
    from: 'response.setHeader(\'link\', `<${next}>; rel="next"`)\n    }\n    sendJson(response, { name',
    to: "response.setHeader('link', next)\n    }\n    sendJson(response, { name",
    caughtBy: 'tags/many tags',
  },
  {
    name: 'names another repository in the list of tags',
    from: '{ name: repository, tags }',
    to: "{ name: repository.split('/')[0], tags }",
    caughtBy: 'tags/tags in order, in pages',
  },
  {
    name: 'answers 404 where there are no referrers',
    from: "const type = query.get('artifactType')",
    to: "const type = query.get('artifactType')\n    if (this.#repository(repository).manifests.size === 0) throw invalid()",
    caughtBy: 'referrers/referrers of what is not there',
  },
  {
    name: 'gives referrers as plain JSON',
    from: 'manifests }, INDEX)',
    to: 'manifests })',
    caughtBy: 'referrers/referrers of what is not there',
  },
  {
    name: 'leaves out the media type of the index of referrers',
    from: '{ schemaVersion: 2, mediaType: INDEX, manifests }',
    to: '{ schemaVersion: 2, manifests }',
    caughtBy: 'referrers/referrers of what is not there',
  },
  {
    name: 'does not filter',
    from: 'type === null || artifactType === type',
    to: 'type === null || artifactType !== ""',
    caughtBy: 'referrers/referrers of every kind',
  },
  {
    name: 'does not say that it filtered',
    from: "if (type !== null) response.setHeader('oci-filters-applied', 'artifactType')",
    to: '',
    caughtBy: 'referrers/referrers of every kind',
  },
  {
    name: 'forgets the type of a config',
    from: 'const type = artifactType ?? config?.mediaType',
    to: 'const type = config ? artifactType : artifactType',
    caughtBy: 'referrers/referrers of every kind',
  },
  {
    name: 'forgets annotations',
    from: '...(annotations && { annotations })',
    to: '...(annotations && {})',
    caughtBy: 'data/artifacts with a subject',
  },
  {
    name: 'lists the first page of referrers only',
    from: 'if (all.length > manifests.length) {',
    to: 'if (all.length < manifests.length) {',
    caughtBy: 'referrers/many and large referrers',
  },
  {
    name: 'forgets the filter on later pages',
    from: "type === null ? '' : `&artifactType=${encodeURIComponent(type)}`",
    to: "''",
    caughtBy: 'referrers/many and large referrers',
  },
  {
    name: 'takes any name',
    from: '!NAME.test(repository) || ',
    to: '',
    caughtBy: 'hostile/a repository with an encoded traversal',
  },
  {
    name: 'takes names without end',
    from: ' || repository.length > MAX_NAME',
    to: '',
    caughtBy: 'hostile/headers and paths without end',
  },
  {
    name: 'takes bytes that are no UTF-8',
    from: '{ fatal: true }',
    to: '{ fatal: false }',
    caughtBy: 'hostile/a manifest of bytes that are no UTF-8',
  },
  {
    name: 'asks for no password where one reads',
    from: 'if (isUser(header)) return\n',
    to: "if (isUser(header) || action === 'pull') return\n",
    caughtBy: 'auth/requests without credentials',
    options: { auth: 'basic' },
  },
  {
    name: 'compares the beginning of the password',
    from: " === `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`",
    to: ".startsWith(`Basic ${Buffer.from(`${username}:${password}`).toString('base64').slice(0, -4)}`)",
    caughtBy: 'auth/requests with wrong credentials',
    options: { auth: 'basic' },
  },
  {
    name: 'gives no challenge',
    from: "response.setHeader('www-authenticate', 'Basic realm=\"memory\"')",
    to: '',
    caughtBy: 'auth/requests without credentials',
    options: { auth: 'basic' },
  },
  {
    name: 'does not look at the scope of a token',
    from: "granted?.includes(scope) || (granted && scope === '')",
    to: 'granted',
    caughtBy: 'auth/tokens of another scope',
    options: { auth: 'bearer' },
  },
  {
    name: 'does not look at the signature of a token',
    from: "signature === createHmac('sha256', KEY).update(body).digest('base64url')",
    to: 'signature !== undefined',
    caughtBy: 'auth/requests with wrong credentials',
    options: { auth: 'bearer' },
  },
  {
    name: 'names no digest where it sends clients to a store',
    from: 'response.writeHead(307).end()',
    to: "response.removeHeader('docker-content-digest')\n    response.writeHead(307).end()",
    caughtBy: 'push blobs/sha256 POST and PUT',
    options: { redirects: true },
  },
  {
    name: 'sends clients to another blob of a store',
    from: '`/store/${repository}/${digest}`',
    to: '`/store/${repository}/${[...blobs.keys()].find((other) => other !== digest) ?? digest}`',
    caughtBy: 'data/image',
    options: { redirects: true },
  },
  {
    name: 'asks for another scope',
    from: '`repository:${repository}:${action}`',
    to: '`repository:${repository.slice(1)}:${action}`',
    caughtBy: 'auth/requests without credentials',
    options: { auth: 'bearer' },
  },
]

const SOURCE = readFileSync(join(import.meta.dirname, 'support/memory-registry.ts'), 'utf8')
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-mutants-'))
})
afterAll(() => rm(folder, { recursive: true }))

type Start = typeof startRegistry

async function failuresOf(
  start: Start,
  { caughtBy, options = {} }: Pick<Mutant, 'caughtBy' | 'options'>,
): Promise<readonly CheckResult[]> {
  const registry = await start(options)
  const results: CheckResult[] = []
  try {
    const credentials = options.auth === undefined ? {} : { credentials: USER }
    const underTest = { url: registry.url, version: 'dev', strict: true, ...credentials } as const
    for await (const result of runConformance(underTest, [caughtBy])) {
      if (result.caseName === caughtBy) results.push(result)
    }
  } finally {
    await registry.stop()
  }
  expect(results.length, `there is no case ${caughtBy}`).toBeGreaterThan(0)
  expect(results.filter(({ outcome }) => outcome === 'skipped')).toEqual([])
  return results.filter(({ outcome }) => outcome === 'failed')
}

it.each(mutants.map((mutant, at) => ({ ...mutant, at })))(
  'a registry that $name is caught',
  async ({ from, to, at, ...mutant }) => {
    expect(SOURCE.split(from).length, `"${from}" stands once in the sources`).toBe(2)
    const file = join(folder, `mutant-${at}.ts`)
    await writeFile(
      file,
      SOURCE.replace(from, () => to),
    )
    const { startRegistry: start } = (await import(file)) as { startRegistry: Start }
    expect(await failuresOf(start, mutant)).not.toEqual([])
  },
)

it('the registry itself passes each case that a mutant fails', async () => {
  for (const mutant of mutants) expect(await failuresOf(startRegistry, mutant)).toEqual([])
})
