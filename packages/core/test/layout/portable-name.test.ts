import { beforeEach, describe, expect, it } from 'vitest'
import { portabilityProblem } from '../../src/layout/portable-name.ts'
import { imageFixture, type MemoryBackend, putImage } from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const app = imageFixture({ layers: ['app'] })

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(() => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  Object.assign(world.images, { 'app:v1': app, 'app:latest': app })
})

const REFUSED: readonly (readonly [string, string])[] = [
  ['App', 'v1'],
  ['team/My App', 'v1'],
  ['team/größe', 'v1'],
  ['app_', 'v1'],
  ['-app', 'v1'],
  ['a..b', 'v1'],
  ['a___b', 'v1'],
  ['host:5000', 'v1'],
  ['Host/app', 'v1'],
  ['a'.repeat(256), 'v1'],
  ['app', '-v1'],
  ['app', '.v1'],
  ['app', 'v 1'],
  ['app', 'v1+meta'],
  ['app', 'é'],
  ['app', 'v'.repeat(129)],
]

describe('a name that no engine or registry takes', () => {
  it.each(REFUSED)('is not created: %s:%s', async (name, tag) => {
    const to = `mem://b/${name}:${tag}`
    const refusal = { code: 'INVALID_REFERENCE', message: expect.stringContaining('because') }
    await expect(world.host.push('fix:app:v1', to)).rejects.toMatchObject(refusal)
    await expect(world.host.copy('fix:app:v1', to)).rejects.toMatchObject(refusal)
    await expect(world.host.copy('fix:app:v1', to, { dryRun: true })).rejects.toMatchObject(refusal)
    expect(await Array.fromAsync(bucket.list(''))).toEqual([])
  })

  it.each(REFUSED)('is read, copied from, replaced and deleted: %s:%s', async (name, tag) => {
    await putImage(bucket, { name, tag }, app)
    const ref = `mem://b/${name}:${tag}`
    expect(await world.host.list('mem://b/')).toEqual([{ name, tags: [tag] }])
    expect(await world.host.inspect(ref)).toMatchObject({ digest: app.root.descriptor.digest })
    await world.host.copy(ref, 'mem://c/app:v1')
    await world.host.push('fix:app:v1', ref)
    await world.host.delete(ref)
    expect(await world.host.list('mem://b/')).toEqual([])
  })

  it('stops no other tag in a copy of all', async () => {
    for (const tag of ['v1', '-v2', 'v3']) await putImage(bucket, { name: 'app', tag }, app)
    const result = await world.host.copyTags('mem://b/app', 'mem://c/app')
    expect(result).toMatchObject({ tags_copied: 2, tags_failed: 1 })
    expect(result.tags.find(({ tag }) => tag === '-v2')?.error?.code).toBe('INVALID_REFERENCE')
  })
})

it.each([
  ['app', 'v1'],
  ['team/my-app', 'v1.2.3-rc.1_x'],
  ['a--b', 'V1'],
  ['a__b.c', '_x'],
  ['host:5000/app', 'v1'],
  ['Ghcr.io/org/app', 'v1'],
  ['localhost/app', 'v1'],
  ['10.0.0.1:5000/app', 'v'.repeat(128)],
  ['a'.repeat(255), 'v1'],
  ['app', `sha256-${'a'.repeat(64)}.sig`],
])('%s:%s is created', (name, tag) => {
  expect(portabilityProblem({ name, tag })).toBeUndefined()
})
