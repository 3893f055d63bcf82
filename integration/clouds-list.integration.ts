import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { cloudStores, removeBucket } from './cloud-stores.ts'
import { costOfList, writeManyTags } from './many-tags.ts'
import { SourceCli } from './source-cli.ts'

const TAGS = 2100

const work = await mkdtemp(join(tmpdir(), 's3lo-list-'))
afterAll(() => rm(work, { recursive: true }))

describe.each(
  cloudStores(work)
    .filter(({ endpoint, isStrict }) => endpoint !== undefined && isStrict)
    .map((store) => [store.name, store] as const),
)(`a list of ${TAGS} tags: %s`, (_, store) => {
  it('costs a request for each thousand of them and three more, and reads no object', async () => {
    const cli = await SourceCli.open(work)
    const bucket = await store.makeBucket()
    const backend = await store.open(bucket)
    const names = await writeManyTags(backend, TAGS)
    const cost = await costOfList(store, bucket, {
      objects: TAGS,
      run: (args, env) => cli.run(args, env),
    })
    expect(cost.lines).toEqual(names)
    expect(cost.reads).toBe(0)
    expect(cost.requests).toBeLessThanOrEqual(cost.bar)
    await backend.close?.()
    await removeBucket(store, bucket)
  })
})
