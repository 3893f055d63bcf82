import type { CaseContext, ConformanceCase, ConformanceSuite } from '../conformance-case.ts'
import { digestOf, imageOf, randomBlob, unknownDigest } from '../content.ts'
import { expectStatus, expectTrue, Mismatch } from '../expect.ts'
import { type Challenge, parseChallenge } from '../http/challenge.ts'
import { headerOf, type RegistryRequest, type Reply } from '../http/message.ts'
import { expectDocument, OCTETS, paths, putImage } from '../protocol.ts'
import { expectCode } from './push-refused.ts'

/** One request of each kind; none of them may be done without credentials. */
function requestsOf(repository: string): Readonly<Record<string, RegistryRequest>> {
  const body = randomBlob()
  const { bytes, mediaType } = imageOf().document
  const headers = { 'content-type': mediaType }
  return {
    'GET /v2/': { method: 'GET', path: '/v2/' },
    'GET of a manifest': { method: 'GET', path: paths.manifest(repository, 'v1') },
    'HEAD of a manifest': { method: 'HEAD', path: paths.manifest(repository, 'v1') },
    'GET of a blob': { method: 'GET', path: paths.blob(repository, unknownDigest()) },
    'HEAD of a blob': { method: 'HEAD', path: paths.blob(repository, unknownDigest()) },
    'GET of tags': { method: 'GET', path: paths.tags(repository) },
    'POST of an upload': { method: 'POST', path: paths.uploads(repository) },
    'POST with a blob': {
      method: 'POST',
      path: paths.uploads(repository, `?digest=${digestOf(body)}`),
      body,
      headers: OCTETS,
    },
    'PUT of a manifest': {
      method: 'PUT',
      path: paths.manifest(repository, 'v2'),
      body: bytes,
      headers,
    },
    'DELETE of a tag': { method: 'DELETE', path: paths.manifest(repository, 'v1') },
    'DELETE of a blob': { method: 'DELETE', path: paths.blob(repository, unknownDigest()) },
  }
}

function challengeOf(reply: Reply): Challenge {
  const header = headerOf(reply, 'www-authenticate')
  const challenge = header === undefined ? undefined : parseChallenge(header)
  if (challenge === undefined) throw new Mismatch('WWW-Authenticate', 'a challenge', header)
  const { scheme, parameters } = challenge
  expectTrue(['basic', 'bearer'].includes(scheme), 'Basic or Bearer', scheme)
  const realm = parameters.get('realm')
  if (realm === undefined) throw new Mismatch('realm', 'one', realm)
  if (scheme === 'bearer') expectTrue(URL.canParse(realm), 'a realm that is a URL', realm)
  return challenge
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

const challenged: ConformanceCase = {
  name: 'requests without credentials',
  section: 'Authentication',
  needs: ['credentials'],
  run: async ({ check, client, repository }) => {
    for (const [name, request] of Object.entries(requestsOf(repository))) {
      await check(`${name} is answered 401 with a challenge`, async () => {
        const reply = await client.send({ ...request, authorization: 'none' })
        expectStatus(reply, 401)
        const { scheme, parameters } = challengeOf(reply)
        if (scheme !== 'bearer' || request.path === '/v2/') return
        const scope = parameters.get('scope') ?? ''
        const asked = request.method === 'GET' || request.method === 'HEAD' ? 'pull' : ''
        const expected = `repository:${repository}:${asked}`
        expectTrue(scope.includes(expected), `the scope ${expected}…`, scope)
      })
    }
    await check(
      'the error is UNAUTHORIZED',
      async () => {
        const path = paths.manifest(repository, 'v1')
        const reply = await client.send({ method: 'GET', path, authorization: 'none' })
        expectCode(reply, 'UNAUTHORIZED')
      },
      ['error-codes'],
    )
  },
}

/** No registry takes one of these as an `Authorization`. */
function wrongHeaders({ credentials }: CaseContext): Readonly<Record<string, string>> {
  const { username, password } = credentials ?? { username: '', password: '' }
  return {
    'a wrong password': basic(username, `${password}x`),
    'an empty password': basic(username, ''),
    'the beginning of the password': basic(username, password.slice(0, -1)),
    'another user': basic(`${username}x`, password),
    'an empty user': basic('', password),
    'no base64': 'Basic ***',
    'no colon': `Basic ${Buffer.from(username).toString('base64')}`,
    'Basic and nothing': 'Basic ',
    'a token of nonsense': 'Bearer nonsense',
    'a token that is empty': 'Bearer ',
    'an unsigned token': `Bearer ${unsigned('none')}`,
    'a token with an invented signature': `Bearer ${unsigned('HS256')}c2lnbmF0dXJl`,
    'another scheme': 'Digest username="x"',
  }
}

/** A token that says of itself that it may everything. */
function unsigned(alg: string): string {
  const access = [{ type: 'registry', name: 'catalog', actions: ['*'] }]
  return [
    { alg, typ: 'JWT' },
    { sub: 'admin', exp: 4_000_000_000, access },
  ]
    .map((part) => `${Buffer.from(JSON.stringify(part)).toString('base64url')}.`)
    .join('')
}

const wrong: ConformanceCase = {
  name: 'requests with wrong credentials',
  section: 'Authentication',
  needs: ['credentials'],
  run: async (context) => {
    const { check, client, repository } = context
    for (const [name, authorization] of Object.entries(wrongHeaders(context))) {
      for (const path of ['/v2/', paths.tags(repository)]) {
        const what = path === '/v2/' ? 'GET /v2/' : 'GET of tags'
        await check(`${what} with ${name} is refused`, async () => {
          expectStatus(await client.send({ method: 'GET', path, authorization }), 400, 401, 403)
        })
      }
    }
  },
}

const right: ConformanceCase = {
  name: 'requests with credentials',
  section: 'Authentication',
  needs: ['credentials', 'push'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    await step('an image is pushed', () => putImage(client, repository, image, 'v1'))
    await check('it is read', async () => {
      const path = paths.manifest(repository, 'v1')
      expectDocument(context, await client.send({ method: 'GET', path }), image.document)
    })
    await check('it is not read without credentials', async () => {
      const path = paths.manifest(repository, 'v1')
      expectStatus(await client.send({ method: 'GET', path, authorization: 'none' }), 401)
    })
  },
}

const scopes: ConformanceCase = {
  name: 'tokens of another scope',
  section: 'Authentication',
  needs: ['credentials', 'push'],
  run: async ({ check, client, repository, otherRepository, step }) => {
    await step('an image is pushed', () => putImage(client, repository, imageOf(), 'v1'))
    const path = paths.manifest(repository, 'v1')
    const { scheme, parameters } = await step('GET is challenged', async () =>
      challengeOf(await client.send({ method: 'GET', path, authorization: 'none' })),
    )
    if (scheme !== 'bearer') return
    const refused = async (scope: string, request: RegistryRequest): Promise<void> => {
      const token = await client.authorizer.token(new Map([...parameters, ['scope', scope]]))
      const reply = await client.send({ ...request, authorization: `Bearer ${token}` })
      expectStatus(reply, 401, 403)
    }
    await check('one of another repository does not read', () =>
      refused(`repository:${otherRepository}:pull,push`, { method: 'GET', path }),
    )
    await check('one that reads does not begin an upload', () =>
      refused(`repository:${repository}:pull`, { method: 'POST', path: paths.uploads(repository) }),
    )
    await check('one that reads does not delete', () =>
      refused(`repository:${repository}:pull`, { method: 'DELETE', path }),
    )
    await check('one of a name that begins alike does not read', () =>
      refused(`repository:${repository.slice(0, -1)}:pull`, { method: 'GET', path }),
    )
  },
}

export const authSuite: ConformanceSuite = {
  name: 'auth',
  cases: [challenged, wrong, right, scopes],
}
