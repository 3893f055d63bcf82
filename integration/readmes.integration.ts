import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHost } from '@s3lo/core'
import docker from '@s3lo/source-docker/plugin'
import registries from '@s3lo/source-registry/plugin'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { cloudStores, removeBucket } from './cloud-stores.ts'
import { EXAMPLE_IMAGE, readExample, runExample } from './readme-example.ts'
import { requiredRegistries } from './required.ts'

let root: string
let folder: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 's3lo-readmes-'))
})
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'example-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const PAGES: Readonly<Record<string, string>> = {
  s3: 'packages/backend-s3/README.md',
  gs: 'packages/backend-gcs/README.md',
  az: 'packages/backend-azure/README.md',
}

const clouds = cloudStores(tmpdir()).flatMap((store) => {
  const page = PAGES[store.scheme]
  return page === undefined ? [] : [{ name: store.name, page, store }]
})

describe.each(clouds)('with $name', ({ page, store }) => {
  it(`the example of ${page} runs as it is printed`, async () => {
    const { code, packages } = await readExample(page)
    const bucket = await store.makeBucket()
    try {
      const here = code.replace(/bucket: '.*?'/, `bucket: '${bucket}'`)
      expect(await runExample({ code: here, packages }, folder, store.env())).toBe(
        'hello/world 2\n',
      )
    } finally {
      await removeBucket(store, bucket)
    }
  })
})

const registry = requiredRegistries()?.open

describe.skipIf(registry === undefined)('with a registry', () => {
  it('the example of packages/source-registry/README.md runs as it is printed', async () => {
    const { code, packages } = await readExample('packages/source-registry/README.md')
    const place = `${registry}/readme-${randomUUID()}`
    await runExample({ code: '', packages: [] }, folder)
    const host = createHost({ plugins: [docker, registries], env: {} })
    await host.copy(`oci:${folder}/layout:v1`, `docker://${place}/app:v1`)
    const here = code.replaceAll('localhost:5000', place)
    const { digest } = EXAMPLE_IMAGE.root.descriptor
    expect(await runExample({ code: here, packages }, folder)).toBe(`${digest}\n`)
    expect(
      (await host.copy(`docker://${place}/mirror/app:v1`, `oci:${folder}/copy:v1`)).digest,
    ).toBe(digest)
  })
})
