import { isIP } from 'node:net'
import { isDigest } from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import * as fc from 'fast-check'
import { kindOfAddress } from '../src/addresses.ts'
import { parseChallenges } from '../src/auth/challenge.ts'
import { DockerConfig } from '../src/auth/docker-config.ts'
import { parseRegistryHost } from '../src/auth/login.ts'
import { parseRealm } from '../src/auth/realm.ts'
import { parseSecretJson } from '../src/auth/secret-json.ts'
import { parseContentLength, parseContentRange, parseUploadRange } from '../src/content-range.ts'
import { nextLink } from '../src/link-header.ts'
import { rateLimitOf } from '../src/rate-limit.ts'
import { printable, StatusError } from '../src/registry-error.ts'
import { isRepository, isTag, parseRegistryName } from '../src/registry-name.ts'
import { RegistryNotices } from '../src/registry-notices.ts'

/** The result, or `undefined` for an error of ours; any other error is a finding. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (isS3loError(error) && error.code !== 'INTERNAL') return undefined
    throw error
  }
}

/** Texts of these pieces, of anything, and of one piece again and again. */
function textOf(...pieces: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...pieces) },
    fc.string({ unit: 'binary', maxLength: 6 }),
  )
  return fc.oneof(
    fc.array(piece, { maxLength: 60 }).map((all) => all.join('')),
    fc.tuple(piece, fc.nat(50_000)).map(([text, count]) => text.repeat(count)),
    fc.string({ unit: 'binary', maxLength: 300 }),
  )
}

const header = textOf(
  'Bearer',
  'Basic',
  'realm',
  'scope',
  '=',
  '"',
  '\\',
  ',',
  ' ',
  '\t',
  '\n',
  'a',
  '==',
  'https://a/b',
  ';',
  '<',
  '>',
  'rel',
  'next',
  '299',
  '-',
  '""',
  "'",
  'é',
)
const range = textOf('bytes', ' ', '-', '/', '*', '0', '9', '1e3', ',', '=', '9007199254740993')
const name = textOf(
  'docker.io',
  'localhost',
  'library',
  'app',
  '/',
  ':',
  '@',
  '.',
  '-',
  '_',
  '__',
  '5000',
  'sha256:',
  '0'.repeat(64),
  '[::1]',
  'A',
  '//',
  '://',
  '%2e',
  '..',
  'é',
  '99999',
)

const HIGHEST = Number.MAX_SAFE_INTEGER

/** What `pnpm fuzz` runs, by name. */
export const properties = {
  'WWW-Authenticate': fc.property(header, (text) =>
    parseChallenges(text).every(({ scheme }) => scheme !== '' && scheme === scheme.toLowerCase()),
  ),
  Link: fc.property(header, (text) => {
    const next = nextLink(text)
    return next === undefined || text.includes(next)
  }),
  'Content-Range': fc.property(range, (text) => {
    const found = parseContentRange(text)
    if (!found) return true
    const { start, end, total = HIGHEST } = found
    return start >= 0 && start < end && end <= total && total <= HIGHEST
  }),
  'Range of an upload, Content-Length and limits': fc.property(range, (text) => {
    const found = [parseUploadRange(text), parseContentLength(text)]
    const limit = rateLimitOf({ get: () => text })
    const counts = [...found, limit?.limit, limit?.remaining, limit?.windowSeconds]
    return counts.every(
      (count) => count === undefined || (Number.isSafeInteger(count) && count >= 0),
    )
  }),
  addresses: fc.property(fc.oneof(fc.ipV6(), fc.ipV4(), name), (text) => {
    const kind = kindOfAddress(text)
    return isIP(text) !== 0 || kind === 'forbidden'
  }),
  references: fc.property(name, (text) => {
    const found = attempt(() => parseRegistryName(text))
    if (!found) return true
    const { host, apiHost, reference } = found
    const isSafe =
      isRepository(reference.name) &&
      (reference.tag === undefined || isTag(reference.tag)) &&
      (reference.digest === undefined || isDigest(reference.digest)) &&
      URL.canParse(`https://${apiHost}/v2/`)
    // A host of one word is known by its capitals, which are gone: `A/app` is on `a`.
    if (!/[.:]/.test(host) && host !== 'localhost') return isSafe
    const again = parseRegistryName(`${host}/${reference.name}`)
    return isSafe && again.host === host && again.reference.name === reference.name
  }),
  'hosts to log in to': fc.property(name, (text) => {
    const found = attempt(() => parseRegistryHost(text))
    return found === undefined || URL.canParse(`https://${found.apiHost}/v2/`)
  }),
  realms: fc.property(name, header, (realm, service) => {
    const place = { host: 'registry.example.com', plainHttp: false }
    const found = attempt(() => parseRealm(realm, service, place))
    return found === undefined || found.url.protocol === 'https:'
  }),
  'config.json': fc.property(fc.oneof(fc.json(), authFile()), (text) => {
    attempt(() => {
      const config = new DockerConfig({
        path: 'config.json',
        document: parseSecretJson(text, 'config.json'),
      })
      config.helperFor('ghcr.io')
      config.credentialFor('ghcr.io', 'team/app')
    })
  }),
  'errors and warnings': fc.property(header, fc.json(), (text, json) => {
    const told: string[] = []
    const notices = new RegistryNotices('ghcr.io', (message) => told.push(message))
    notices.read(200, { get: () => text })
    const error = new StatusError(400, { get: () => text }, Buffer.from(json))
    const lines = [...told, printable(text), error.detail]
    return lines.every((line) => line.length < 1000 && !/\p{Cc}/u.test(line))
  }),
}

/** Files that look enough like credentials to get past the first checks. */
function authFile(): fc.Arbitrary<string> {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({ unit: 'binary', maxLength: 20 }).map((clear) => btoaOf(clear)),
    fc.constantFrom('YTpi', 'YTo=', 'Og==', '=', ''),
  )
  const entry = fc.oneof(
    fc.dictionary(
      fc.constantFrom('auth', 'username', 'password', 'identitytoken', 'registrytoken'),
      text,
    ),
    fc.jsonValue(),
  )
  const key = fc.constantFrom(
    'ghcr.io',
    'https://ghcr.io/v1/',
    'ghcr.io/team',
    '__proto__',
    '',
    '/',
  )
  const members = {
    auths: fc.dictionary(key, entry),
    credsStore: fc.oneof(text, fc.jsonValue()),
    credHelpers: fc.oneof(fc.dictionary(key, text), fc.jsonValue()),
  }
  return fc.record(members, { requiredKeys: [] }).map((file) => JSON.stringify(file))
}

function btoaOf(text: string): string {
  return Buffer.from(text).toString('base64')
}
