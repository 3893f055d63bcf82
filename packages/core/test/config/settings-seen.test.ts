import { beforeEach, describe, expect, it } from 'vitest'
import { BUCKET_CONFIG_KEY, SETTINGS_SEEN_KEY } from '../../src/layout/keys.ts'
import { setConfig } from '../../src/operations/set-config.ts'
import { imageFixture, type MemoryBackend } from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const RULES = `default: {lifecycle: {keep_last: 5}}
policies: [{name: small, check: size, max_bytes: 1}]
images: {"release/*": {immutable: true}}
chunk_format: 1
`

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  world.images['app:v1'] = imageFixture({ layers: ['app'] })
  await configure(RULES)
})

function configure(text: string): Promise<unknown> {
  return bucket.put(BUCKET_CONFIG_KEY, Buffer.from(text))
}

async function noticesOfPush(): Promise<readonly string[]> {
  const notices: string[] = []
  await world.host.push('fix:app:v1', 'mem://b/app:v1', {
    onProgress: (event) => event.type === 'notice' && notices.push(event.message),
  })
  return notices
}

describe('settings that another program took away', () => {
  it('are named by every push, until settings are changed with s3lo', async () => {
    expect(await noticesOfPush()).toEqual([])
    await configure('default: {lifecycle: {keep_last: 5}}\n')
    for (let i = 0; i < 2; i++) {
      const notices = await noticesOfPush()
      expect(notices).toEqual([
        expect.stringMatching(
          /policies.*immutable of release\/\*|immutable of release\/\*.*policies/,
        ),
      ])
    }
    const { lost } = await setConfig(bucket, '', ['lifecycle.keep_last=6'])
    expect(lost).toEqual(expect.arrayContaining(['policies', 'immutable of release/*']))
    expect(await noticesOfPush()).toEqual([])
  })

  it('are noticed where the whole file is gone, and in a dry run, which remembers nothing', async () => {
    const notices: string[] = []
    const dryRun = {
      dryRun: true,
      onProgress: (event: { type: string; code?: string }) =>
        event.type === 'notice' && notices.push(event.code ?? ''),
    }
    await world.host.copy('fix:app:v1', 'mem://b/app:v1', dryRun)
    expect(await bucket.head(SETTINGS_SEEN_KEY)).toBeUndefined()
    await noticesOfPush()
    await bucket.delete([BUCKET_CONFIG_KEY])
    await world.host.copy('fix:app:v1', 'mem://b/app:v1', dryRun)
    expect(notices).toEqual(['settings-lost'])
  })

  it('are not those that s3lo removed', async () => {
    await noticesOfPush()
    await world.host.removeConfig('mem://b/release/*')
    expect(await noticesOfPush()).toEqual([])
  })

  it('are of no concern where what was seen cannot be read', async () => {
    await bucket.put(SETTINGS_SEEN_KEY, Buffer.from('{ torn'))
    await configure('')
    expect(await noticesOfPush()).toEqual([])
  })

  it('cost nothing to write where nothing is set', async () => {
    await configure('')
    await noticesOfPush()
    expect(await bucket.head(SETTINGS_SEEN_KEY)).toBeUndefined()
  })
})
