import type { CaseContext, ConformanceCase, ConformanceSuite } from '../conformance-case.ts'
import { digestOf, imageOf, MEDIA, randomBlob } from '../content.ts'
import { expectRefusal, expectStatus, expectTrue } from '../expect.ts'
import type { Reply } from '../http/message.ts'
import { OCTETS, paths, putBlob, putManifest } from '../protocol.ts'

/** Names of repositories that the grammar of the specification does not have. */
const NAMES: Readonly<Record<string, string>> = {
  'upper case': 'Upper/Case',
  'a leading dot': '.hidden/name',
  'a trailing dot': 'name./x',
  'two dots': 'a..b/x',
  'a leading dash': '-a/x',
  'three underscores': 'a___b/x',
  'an encoded traversal': '%2e%2e/%2e%2e/etc',
  'an encoded slash and dots': 'a%2f..%2fb',
  'an encoded zero byte': 'a%00b',
  'an encoded line end': 'a%0d%0aSet-Cookie:x',
  'a backslash': 'a%5cb',
  'a space': 'a%20b',
  'a broken escape': 'a%zzb',
  'bytes that are no UTF-8': 'a%ff%feb',
  'an emoji': '%F0%9F%98%80',
  'the name of our own folder': '_uploads/x',
}

const names: readonly ConformanceCase[] = Object.entries(NAMES).map(([name, repository]) => ({
  name: `a repository with ${name}`,
  section: 'Repository names',
  run: async ({ check, client }) => {
    await check('GET of its tags is refused', async () => {
      expectRefusal(await client.send({ method: 'GET', path: paths.tags(repository) }))
    })
    await check('GET of a manifest is refused', async () => {
      expectRefusal(await client.send({ method: 'GET', path: paths.manifest(repository, 'v1') }))
    })
    await check(
      'PUT of a manifest is refused',
      async () => expectNotDone(await putManifest(client, repository, 'v1', imageOf().document)),
      ['push'],
    )
    await check(
      'POST of an upload is refused',
      async () =>
        expectNotDone(await client.send({ method: 'POST', path: paths.uploads(repository) })),
      ['push'],
    )
  },
}))

/** A refusal, or a redirect to a path that is one, which a client would not send a body to. */
function expectNotDone(reply: Reply): void {
  if (reply.status !== 301 && reply.status !== 308) expectRefusal(reply)
}

/** Paths that must lead nowhere; they are sent as they are. */
const TRAVERSALS = [
  '/v2/../../../../etc/passwd',
  '/v2/a/blobs/../../../../etc/passwd',
  '/v2/a/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd',
  '/v2/a/manifests/..%2f..%2fetc%2fpasswd',
  '/v2/a/manifests/..',
  '/v2//manifests/v1',
  '/v2/a//b/manifests/v1',
]

const traversals: ConformanceCase = {
  name: 'paths that leave the registry',
  section: 'beyond',
  run: async (context) => {
    for (const path of TRAVERSALS) {
      await context.check(`GET ${path} gives nothing`, async () => {
        const text = await exchange(context, 'GET', path)
        const status = statusOf(text)
        expectTrue(status >= 300 && status < 500, 'a status of 300 to 499', status)
        expectTrue(!text.includes('root:'), 'no file of the machine', 'one')
      })
    }
  },
}

/** One request on a connection of its own, whose bytes are not made better by a library. */
function exchange(
  context: CaseContext,
  method: string,
  path: string,
  headers: readonly string[] = [],
  body = '',
): Promise<string> {
  const { client, credentials } = context
  const { username, password } = credentials ?? {}
  const basic = Buffer.from(`${username}:${password}`).toString('base64')
  return client.raw(
    [
      `${method} ${path} HTTP/1.1`,
      `Host: ${client.base.host}`,
      ...(credentials ? [`Authorization: Basic ${basic}`] : []),
      ...headers,
      '',
      body,
    ].join('\r\n'),
  )
}

function statusOf(text: string): number {
  return Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0)
}

/** How many answers there are in what came over one connection. */
function answersIn(text: string): number {
  return text.match(/^HTTP\/1\.[01] \d{3}/gm)?.length ?? 0
}

interface Malformed {
  readonly name: string
  readonly headers: readonly string[]
  readonly body: string
  /** Whether a registry that needs no body may answer before it sees the fault, once. */
  readonly mayAnswer?: boolean
}

const SMUGGLED = 'GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: x\r\n\r\n'

/** Requests whose end two servers could see at two places (RFC 9112, 6.3). */
const MALFORMED: readonly Malformed[] = [
  {
    name: 'two lengths',
    headers: ['Content-Length: 0', `Content-Length: ${SMUGGLED.length}`],
    body: SMUGGLED,
  },
  {
    name: 'a length and chunks',
    headers: ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    body: `0\r\n\r\n${SMUGGLED}`,
    mayAnswer: true,
  },
  { name: 'a negative length', headers: ['Content-Length: -1'], body: '' },
  { name: 'a length in hex', headers: ['Content-Length: 0x10'], body: 'x'.repeat(16) },
  { name: 'a length with a sign', headers: ['Content-Length: +5'], body: 'xxxxx' },
  {
    name: 'an unknown transfer encoding',
    headers: ['Transfer-Encoding: xchunked'],
    body: SMUGGLED,
    mayAnswer: true,
  },
  {
    name: 'a chunk of no size',
    headers: ['Transfer-Encoding: chunked'],
    body: 'zz\r\n\r\n',
    mayAnswer: true,
  },
  { name: 'a space before the colon', headers: ['Content-Length : 5'], body: 'xxxxx' },
  { name: 'a zero byte in a header', headers: ['X-Odd: a\0b'], body: '' },
]

const malformed: readonly ConformanceCase[] = MALFORMED.map(
  ({ name, headers, body, mayAnswer = false }) => ({
    name: `a request with ${name}`,
    section: 'beyond',
    run: async (context) => {
      const { check, client, repository } = context
      await check('it is refused once, or the connection is closed', async () => {
        const text = await exchange(context, 'POST', paths.uploads(repository), headers, body)
        const status = statusOf(text)
        const isRefused = text === '' || (status >= 400 && status < 600)
        expectTrue(isRefused || mayAnswer, 'a refusal', text.slice(0, 60))
        expectTrue(answersIn(text) <= 1, 'one answer', answersIn(text))
      })
      await check('the registry answers after it', async () => {
        expectStatus(await client.send({ method: 'GET', path: '/v2/' }), 200)
      })
    },
  }),
)

const headAlone: ConformanceCase = {
  name: 'HEAD has no body',
  section: 'beyond',
  needs: ['push'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const blob = randomBlob()
    await step('a blob is pushed', () => putBlob(client, repository, blob))
    for (const [what, path] of [
      ['a blob', paths.blob(repository, digestOf(blob))],
      ['a tag that is not there', paths.manifest(repository, 'missing')],
    ] as const) {
      await check(`the answer for ${what} ends with its headers`, async () => {
        const text = await exchange(context, 'HEAD', path)
        const [, body = 'no end of the headers'] = text.split(/\r\n\r\n(.*)/s)
        expectTrue(body === '', 'nothing after the headers', body)
      })
    }
  },
}

const largeHeaders: ConformanceCase = {
  name: 'headers and paths without end',
  section: 'beyond',
  run: async (context) => {
    const { check, client, repository } = context
    await check('a header of 2 MiB is refused', async () => {
      const text = await exchange(context, 'GET', '/v2/', [
        `X-Long: ${'x'.repeat(2 * 1024 * 1024)}`,
      ])
      expectTrue(text === '' || statusOf(text) >= 400, 'a refusal', text.slice(0, 60))
    })
    await check('a name of 8,000 characters is refused', async () => {
      const path = paths.tags(`${repository}/${'x'.repeat(8000)}`)
      expectRefusal(await client.send({ method: 'GET', path }))
    })
    await check('the registry answers after it', async () => {
      expectStatus(await client.send({ method: 'GET', path: '/v2/' }), 200)
    })
  },
}

const METHODS = ['TRACE', 'OPTIONS', 'PATCH', 'POST', 'PROPFIND']

const methods: ConformanceCase = {
  name: 'methods that an endpoint does not have',
  section: 'beyond',
  run: async ({ check, client, repository }) => {
    for (const method of METHODS) {
      await check(`${method} of a manifest does nothing`, async () => {
        const path = paths.manifest(repository, 'v1')
        const reply = await client.send({ method, path, body: randomBlob(), headers: OCTETS })
        const isAnswered = reply.status >= 400 || (method === 'OPTIONS' && reply.status < 300)
        expectTrue(isAnswered && reply.status < 600, 'a refusal', reply.status)
        expectTrue(reply.status !== 500, 'a refusal', reply.status)
      })
    }
  },
}

/** JSON that costs more than its size. */
const BOMBS: Readonly<Record<string, string>> = {
  'lists in lists': `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
  'objects in objects': `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
  'a member that spoils prototypes':
    '{"schemaVersion":2,"__proto__":{"layers":[]},"mediaType":"application/vnd.oci.image.manifest.v1+json"}',
  'bytes that are no UTF-8': `{"schemaVersion":2,"mediaType":"${MEDIA.index}","manifests":[],"annotations":{"a":"\u00ff"}}`,
}

const bombs: readonly ConformanceCase[] = Object.entries(BOMBS).map(([name, text]) => ({
  name: `a manifest of ${name}`,
  section: 'beyond',
  needs: ['push'],
  run: async ({ check, client, repository }) => {
    await check('it is refused', async () => {
      const mediaType = text.includes(MEDIA.index) ? MEDIA.index : MEDIA.manifest
      const document = { mediaType, bytes: Buffer.from(text, 'latin1') }
      expectRefusal(await putManifest(client, repository, 'bomb', document))
    })
    await check('the registry answers after it', async () => {
      expectStatus(await client.send({ method: 'GET', path: '/v2/' }), 200)
    })
  },
}))

export const hostileSuite: ConformanceSuite = {
  name: 'hostile',
  cases: [...names, traversals, ...malformed, headAlone, largeHeaders, methods, ...bombs],
}
