import { assertCompatible } from '@s3lo/core/plugin'
import { expect, it } from 'vitest'
import plugin from '../src/plugin.ts'

it('offers the transports of skopeo, each of which can be read and written', async () => {
  assertCompatible(plugin)
  expect(Object.keys(plugin.sources)).toEqual([
    'docker-daemon',
    'docker-archive',
    'oci',
    'oci-archive',
  ])
  for (const { load } of Object.values(plugin.sources)) {
    const { openSource, openTarget } = await load()
    expect([typeof openSource, typeof openTarget]).toEqual(['function', 'function'])
  }
})
