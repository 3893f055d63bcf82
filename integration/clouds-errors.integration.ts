import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { imageFixture } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type CloudStore,
  cloudStores,
  referenceIn,
  removeBucket,
  s3Client,
} from './cloud-stores.ts'
import { writeOciLayout } from './oci-layout.ts'
import { requiredServer } from './required.ts'
import { type ScriptedAnswer, ScriptedServer } from './scripted-server.ts'
import { type Environment, type Outcome, SourceCli } from './source-cli.ts'

const HOUR_MS = 3_600_000
const SECRET = 'c2VjcmV0LW9mLW5vYm9keQ=='

const work = await mkdtemp(join(tmpdir(), 's3lo-errors-'))
const stores = cloudStores(work)
const image = imageFixture({ layers: ['one', 'two'] })
let cli: SourceCli

beforeAll(async () => {
  cli = await SourceCli.open(work)
  await writeOciLayout(join(work, 'image'), 'v1', image)
})
afterAll(() => rm(work, { recursive: true }))

/** What leads to each cloud at `endpoint`, with credentials that are well formed. */
const CLOUDS: Readonly<Record<string, (endpoint: string) => Environment>> = {
  s3: (endpoint) => ({
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_ACCESS_KEY_ID: 'AKIANOBODY',
    AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_REGION: 'us-east-1',
  }),
  gs: (endpoint) => ({ STORAGE_EMULATOR_HOST: endpoint }),
  az: (endpoint) => ({
    AZURE_STORAGE_CONNECTION_STRING: `AccountName=stranger;AccountKey=${SECRET};BlobEndpoint=${endpoint}/stranger;`,
  }),
}
const SCHEMES = Object.keys(CLOUDS)

function list(scheme: string, endpoint: string): Promise<Outcome> {
  return cli.run(['list', `${scheme}://bucket/`], CLOUDS[scheme]?.(endpoint))
}

/** One line says what is wrong and one what to do; no secret, no stack. */
function expectError(outcome: Outcome, status: number, error: RegExp, hint: RegExp): void {
  expect(outcome).toMatchObject({ status, stdout: '' })
  expect(outcome.stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/)
  const [first = '', second = ''] = outcome.stderr.split('\n')
  expect(first).toMatch(error)
  expect(second).toMatch(hint)
  expect(outcome.stderr).not.toContain(SECRET)
}

describe('a service that cannot be reached', () => {
  it.each(SCHEMES)('by its name is said so: %s', async (scheme) => {
    const outcome = await list(scheme, 'http://nowhere.invalid')
    expectError(outcome, 75, /the host name /, /check .*the network/)
  })

  it.each(SCHEMES)('over a connection that is trusted is said so: %s', async (scheme) => {
    const server = await ScriptedServer.startUntrusted()
    const outcome = await list(scheme, server.url)
    expectError(outcome, 69, /certificate of the service is not trusted/, /NODE_EXTRA_CA_CERTS/)
    await server.close()
  })
})

describe('a service that refuses everything', () => {
  const hourAgo = new Date(Date.now() - HOUR_MS).toUTCString()
  const xml = (code: string): string =>
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`
  const table: readonly [string, string, ScriptedAnswer, number, RegExp, RegExp][] = [
    [
      'because of the clock',
      's3',
      { status: 403, headers: { date: hourAgo }, body: xml('RequestTimeTooSkewed') },
      77,
      /clock is too far/,
      /60 minutes off: set it/,
    ],
    [
      'because of the clock',
      'az',
      {
        status: 403,
        headers: { date: hourAgo, 'x-ms-error-code': 'AuthenticationFailed' },
        body: xml('AuthenticationFailed'),
      },
      77,
      /does not accept the credentials/,
      /60 minutes off: set it/,
    ],
    [
      'because of the region',
      's3',
      { status: 301, body: xml('PermanentRedirect') },
      66,
      /bucket is in another region/,
      /AWS_REGION/,
    ],
    [
      'because of the region that the request was signed for',
      's3',
      { status: 400, body: xml('AuthorizationHeaderMalformed') },
      66,
      /bucket is in another region/,
      /AWS_REGION/,
    ],
    [
      'because of the key',
      'az',
      { status: 403, headers: { 'x-ms-error-code': 'AuthenticationFailed' } },
      77,
      /does not accept the credentials/,
      /check the account, the key or token/,
    ],
    [
      'because of the token',
      'gs',
      { status: 401, body: '{"error":{"code":401,"errors":[{"reason":"authError"}]}}' },
      77,
      /does not accept the credentials/,
      /gcloud auth application-default login/,
    ],
    [
      'because of the permissions',
      'gs',
      { status: 403, body: '{"error":{"code":403,"errors":[{"reason":"forbidden"}]}}' },
      77,
      /do not allow this/,
      /grant roles\/storage.objectViewer/,
    ],
  ]
  it.each(table)('%s is said so: %s', async (_why, scheme, answer, status, error, hint) => {
    const server = await ScriptedServer.start(answer)
    expectError(await list(scheme, server.url), status, error, hint)
    await server.close()
  })
})

describe.each(stores.map((store) => [store.name, store] as const))('at %s', (_, store) => {
  it('a bucket that does not exist is named, with how to make it', async () => {
    const bucket = store.scheme === 'local' ? join(work, 'nowhere') : 's3lo-nowhere'
    const outcome = await cli.run(['list', referenceIn(store, bucket)], store.env())
    expectError(outcome, 66, /(bucket|container|directory) .*does not exist/, /create|makes/)
  })

  it.skipIf(store.scheme === 'local')('inspect and pull know that bucket as missing', async () => {
    const ref = referenceIn(store, 's3lo-nowhere', 'app:v1')
    const inspected = await cli.run(['inspect', ref], store.env())
    expectError(inspected, 66, /(bucket|container) does not exist/, /create/)
    const pulled = await cli.run(['pull', ref, 'oci:./pulled:v1', '--quiet'], store.env())
    expectError(pulled, 66, /(bucket|container) does not exist/, /create/)
  })

  it.skipIf(store.scheme !== 's3')('a wrong secret is told apart', async () => {
    const env = { ...store.env(), AWS_SECRET_ACCESS_KEY: SECRET }
    const outcome = await cli.run(['list', 's3://s3lo-nowhere/'], env)
    expectError(outcome, 77, /does not accept the signature/, /check the secret access key/)
  })
})

describe('credentials that may only read', () => {
  const cases = [readerOfCeph(), readerOfAzure()].filter((reader) => reader !== undefined)
  it.skipIf(cases.length === 0).each(cases.map((reader) => [reader.store.name, reader] as const))(
    'read, and are told what they lack to write: %s',
    async (_, { store, allow, env, hint }) => {
      const bucket = await store.makeBucket()
      await allow(bucket)
      const layout = `oci:${join(work, 'image')}:v1`
      const ref = referenceIn(store, bucket, 'app:v1')
      await cli.json(['push', layout, ref], store.env())
      for (const command of [
        ['list', referenceIn(store, bucket)],
        ['inspect', ref],
        ['history', referenceIn(store, bucket, 'app')],
        ['pull', ref, `oci:${join(work, bucket)}:v1`, '--platform', 'linux/amd64'],
      ]) {
        await cli.json(command, env)
      }
      const other = referenceIn(store, bucket, 'app:v2')
      const pushed = await cli.run(['push', layout, other, '--quiet'], env)
      expectError(pushed, 77, /credentials do not allow this/, hint)
      const deleted = await cli.run(['delete', ref, '--quiet'], env)
      expectError(deleted, 77, /credentials do not allow this/, hint)
      await removeBucket(store, bucket)
    },
  )
})

/** A user of a service who may read and no more. */
interface Reader {
  readonly store: CloudStore
  readonly env: Environment
  readonly hint: RegExp
  readonly allow: (bucket: string) => Promise<void>
}

function readerOfCeph(): Reader | undefined {
  const store = stores.find(({ name }) => name === 's3 (Ceph)')
  const names = ['S3LO_TEST_S3_OTHER_KEY', 'S3LO_TEST_S3_OTHER_SECRET'] as const
  const other = requiredServer('s3', 'start-s3.sh', names)
  if (!store || !other) return undefined
  const AWS_ACCESS_KEY_ID = other.S3LO_TEST_S3_OTHER_KEY
  const AWS_SECRET_ACCESS_KEY = other.S3LO_TEST_S3_OTHER_SECRET
  return {
    store,
    env: { ...store.env(), AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY },
    hint: /docs\/backends\/s3\.md/,
    allow: async (Bucket) => {
      const statement = {
        Effect: 'Allow',
        Principal: { AWS: ['arn:aws:iam:::user/other'] },
        Action: ['s3:GetObject', 's3:ListBucket'],
        Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`],
      }
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
      await s3Client(store.env()).send(new PutBucketPolicyCommand({ Bucket, Policy }))
    },
  }
}

function readerOfAzure(): Reader | undefined {
  const store = stores.find(({ scheme }) => scheme === 'az')
  const names = ['S3LO_TEST_AZURE_ENDPOINT', 'AZURE_STORAGE_ACCOUNT', 'AZURE_STORAGE_KEY'] as const
  const account = requiredServer('azure', 'start-azurite.sh', names)
  if (!store || !account) return undefined
  const token = generateAccountSASQueryParameters(
    {
      expiresOn: new Date(Date.now() + HOUR_MS),
      permissions: AccountSASPermissions.parse('rl'),
      services: AccountSASServices.parse('b').toString(),
      resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
    },
    new StorageSharedKeyCredential(account.AZURE_STORAGE_ACCOUNT, account.AZURE_STORAGE_KEY),
  )
  return {
    store,
    env: {
      AZURE_STORAGE_CONNECTION_STRING: `BlobEndpoint=${account.S3LO_TEST_AZURE_ENDPOINT};SharedAccessSignature=${token.toString()}`,
    },
    hint: /Storage Blob Data Contributor to write/,
    allow: async () => {},
  }
}
