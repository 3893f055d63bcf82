import { beforeEach, describe, expect, it } from 'vitest'
import { recordKey, referrerEntryKey } from '../../src/layout/repository-keys.ts'
import { attachArtifact } from '../../src/operations/attach-artifact.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { doctor } from '../../src/operations/doctor.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { FaultyBackend, imageFixture, MemoryBackend, putImage } from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['one'] })
const other = imageFixture({ layers: ['other'] }).root.descriptor
const subject = image.root.descriptor
const place = { repository: 'app', subject }

let backend: MemoryBackend
let store: ImageStore
let sbom: string
let entry: string

beforeEach(async () => {
  backend = new MemoryBackend()
  store = new ImageStore(backend)
  await putImage(backend, { name: 'app', tag: 'v1' }, image)
  sbom = await attachArtifact(store, place, {
    mediaType: 'application/sbom',
    content: Buffer.from('{}'),
  })
  entry = referrerEntryKey('app', subject.digest, sbom)
})

async function issues(filter = '', repair = false): Promise<readonly string[]> {
  const report = await doctor(store, filter, { probe: false, repair })
  expect(report.ok).toBe((report.file_issues ?? []).length === 0)
  return (report.file_issues ?? []).map(({ key }) => key)
}

async function listed(): Promise<readonly string[]> {
  return (await Array.fromAsync(store.referrers('app', subject))).map(({ digest }) => digest)
}

const DAMAGES: Readonly<Record<string, () => Promise<unknown>>> = {
  'is missing': () => backend.delete([entry]),
  'is torn': () => backend.put(entry, Buffer.from('{"v":')),
  'says another type': () => {
    const { mediaType } = subject
    const said = { v: 1, mediaType, digest: sbom, size: 1, artifactType: 'application/other' }
    return backend.put(entry, Buffer.from(JSON.stringify(said)))
  },
}

describe('an entry of a referrer', () => {
  it('that is right is no issue, and is left as it is by a repair', async () => {
    const { etag } = (await backend.head(entry))!
    expect(await issues('', true)).toEqual([])
    expect((await backend.head(entry))?.etag).toBe(etag)
  })

  it.each(Object.entries(DAMAGES))('that %s is found, and made again', async (_, damage) => {
    const before = await Array.fromAsync(store.referrers('app', subject))
    await damage()
    expect(await issues()).toEqual([entry])
    expect(await issues('other/')).toEqual([])
    const report = await doctor(store, '', { probe: false, repair: true })
    expect(report).toMatchObject({ ok: true, repaired_entries: 1 })
    expect(await Array.fromAsync(store.referrers('app', subject))).toEqual(before)
    expect(await issues()).toEqual([])
  })

  it('without a record is found, and removed', async () => {
    await backend.delete([recordKey('app', sbom)])
    expect(await issues()).toEqual([entry])
    expect(await issues('', true)).toEqual([])
    expect(await backend.head(entry)).toBeUndefined()
  })

  it('of a manifest that refers to something else is found, and removed', async () => {
    const { body } = await backend.get(entry)
    const wrong = referrerEntryKey('app', other.digest, sbom)
    await backend.put(wrong, body)
    expect(await issues()).toEqual([wrong])
    expect(await issues('', true)).toEqual([])
    expect(await backend.head(wrong)).toBeUndefined()
    expect(await listed()).toEqual([sbom])
  })

  it('of one repository is no matter of another', async () => {
    await attachArtifact(
      store,
      { repository: 'team/app', subject },
      { mediaType: 'application/sbom', content: Buffer.from('{}') },
    )
    await backend.delete([entry])
    expect(await issues('team/')).toEqual([])
    expect(await issues('app/')).toEqual([entry])
  })

  it('is made again where the referrer is attached while the entry is removed', async () => {
    const record = recordKey('app', sbom)
    const { body } = await backend.get(record)
    const content = Buffer.concat(await Array.fromAsync(body))
    await backend.delete([record])
    const faulty = new FaultyBackend(backend, {
      before: async ({ method, key }) => {
        if (method === 'delete' && key === entry) await backend.put(record, content)
      },
    })
    await doctor(new ImageStore(faulty), '', { probe: false, repair: true })
    expect(await listed()).toEqual([sbom])
  })

  it('goes with a referrer that is deleted by its digest', async () => {
    const reference = { scheme: 'memory', bucket: 'memory', name: 'app', image: 'app' }
    await deleteTag(store, { ...reference, digest: sbom })
    expect([await backend.head(entry), await listed()]).toEqual([undefined, []])
    expect(await issues()).toEqual([])
  })

  it('of a damaged record is left to the record', async () => {
    const record = recordKey('app', sbom)
    await backend.put(record, Buffer.from('{}'))
    expect(await issues('', true)).toEqual([record])
    expect(await backend.head(entry)).toBeDefined()
  })
})
