import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describeBackend } from '@s3lo/backend-conformance'
import type { StorageBackend } from '@s3lo/core'
import { type NetworkService, networkBackend } from '@s3lo/core/transfer'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { GcsDouble } from './gcs-double.ts'

const ROOT = join(import.meta.dirname, '../../..')

/** A file of the service as the guide prints it. */
const PRINTED_FILE = /^\*\*`src\/(cloud-[a-z]+\.ts)`\*\*\n+```ts\n(.*?)^```/gms

interface ServiceModule {
  readonly CloudService: new (bucket: string, endpoint: string, token: string) => NetworkService
}

const files = new Map<string, string>()
let folder: string
let double: GcsDouble
let service: ServiceModule

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-network-guide-'))
  const guide = await readFile(join(ROOT, 'docs/writing-a-backend.md'), 'utf8')
  for (const [, name = '', content = ''] of guide.matchAll(PRINTED_FILE)) {
    await writeFile(join(folder, basename(name)), content)
    files.set(name, content)
  }
  await mkdir(join(folder, 'node_modules/@s3lo'), { recursive: true })
  await symlink(join(ROOT, 'packages/core'), join(folder, 'node_modules/@s3lo/core'), 'junction')
  service = (await import(join(folder, 'cloud-service.ts'))) as ServiceModule
  double = await GcsDouble.start({ tokens: new Map([['good', 'write'] as const]) })
})
afterAll(async () => {
  await double.close()
  await rm(folder, { recursive: true, force: true })
})

const open = async (bucket: string, token = 'good'): Promise<StorageBackend> =>
  networkBackend(new service.CloudService(bucket, double.url, token))

it('the service of the guide is no longer than the guide says', () => {
  const lines = (name: string): number => (files.get(name) ?? '').trimEnd().split('\n').length
  expect([...files.keys()]).toContain('cloud-service.ts')
  expect(lines('cloud-service.ts')).toBeLessThanOrEqual(120)
})

describeBackend('the service of the guide', {
  open: async () => {
    const bucket = randomUUID()
    double.makeBucket(bucket)
    return open(bucket)
  },
  openAgain: async ({ bucket }) => open(bucket),
  openDenied: async () => open('denied', 'bad'),
})
