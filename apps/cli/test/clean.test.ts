import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { imageFixture, putImage } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryWorld } from './run-cli.ts'

const STORE = 'memory://b/'

let world: MemoryWorld
let folder: string

beforeEach(async () => {
  world = new MemoryWorld()
  folder = await mkdtemp(join(tmpdir(), 's3lo-clean-'))
  const bucket = world.bucket('b')
  for (const tag of ['v1', 'v2']) {
    await putImage(bucket, { name: 'app', tag }, imageFixture({ layers: [tag, 'shared'] }))
  }
  for (const digit of ['a', 'b']) {
    await bucket.put(`blobs/sha256/${digit.repeat(64)}`, Buffer.from('garbage'))
  }
  await bucket.put('s3lo.yaml', Buffer.from('default: {lifecycle: {keep_last: 1}}'))
})
afterEach(() => rm(folder, { recursive: true }))

async function tags(): Promise<readonly string[]> {
  const objects = await Array.fromAsync(world.bucket('b').list('manifests/'))
  return objects.map(({ key }) => key).filter((key) => key.endsWith('/manifest.json'))
}

describe('clean', () => {
  it('says what it would do and does nothing', async () => {
    const { status, stdout, stderr } = await world.run(['clean', STORE, '--grace', '0'])
    expect(status).toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^Tags: {2}1 would be deleted \(out of 2 evaluated\)$/m)
    expect(stderr).toMatch(/^Blobs: 2 unreferenced \(.* would be freed\)$/m)
    expect(stderr).toMatch(/--confirm/)
    expect(await tags()).toHaveLength(2)
  })

  it('deletes when it is told to', async () => {
    const { status, stderr } = await world.run(['clean', STORE, '--confirm', '--grace', '0'])
    expect(status).toBe(0)
    expect(stderr).toMatch(/^Tags: {2}1 deleted/m)
    expect(stderr).toMatch(/^Blobs: 2 deleted \(.* freed\)$/m)
    expect(await tags()).toHaveLength(1)
  })

  it('is known by its old name', async () => {
    expect((await world.run(['bucket', 'clean', STORE])).status).toBe(0)
  })

  it('keeps young garbage and says why', async () => {
    const { stderr } = await world.run(['clean', STORE, '--confirm'])
    expect(stderr).toMatch(/^Blobs: 0 deleted/m)
    expect(stderr).toMatch(/2 unreferenced objects kept.*\n.*--grace/)
  })

  it('says what untagged images hold, until when, and explains each', async () => {
    const { root, content } = imageFixture({ layers: ['untagged'] })
    const bucket = world.bucket('b')
    for (const [digest, bytes] of content) {
      await bucket.put(`blobs/${digest.replace(':', '/')}`, bytes)
    }
    const { digest } = root.descriptor
    const name = `${digest.replace(':', '-')}.json`
    await bucket.put(`.s3lo/repositories/app/_manifests/${name}`, root.content)
    const { stdout, stderr } = await world.run(['clean', STORE, '--explain'])
    expect(stderr).toMatch(/^1 untagged image holds .* until \S+Z at the latest\.$/m)
    expect(stderr).toMatch(/^Their images would stay pullable by digest/m)
    expect(stdout).toMatch(
      new RegExp(`^keep app@${digest} \\(untagged, stays until \\S+Z\\)$`, 'm'),
    )
  })

  it('explains tags and garbage on standard output', async () => {
    const { stdout } = await world.run(['clean', STORE, '--explain', '--grace', '0'])
    expect(stdout).toMatch(/^keep app:v\d \(keep_last: number 1 of the newest 1\)$/m)
    expect(stdout).toMatch(/^drop app:v\d \(keep_last: not among the newest 1\)$/m)
    expect(stdout.match(/^drop blobs\/sha256\/[0-9a-f]{64} \(.*no tag needs it\)$/gm)).toHaveLength(
      2,
    )
  })

  it('prints one document with every field', async () => {
    const { stdout, stderr } = await world.run(['clean', STORE, '-o', 'json'])
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({
      ref: STORE,
      dry_run: true,
      tags_evaluated: 2,
      tags_deleted: 1,
      images_immutable: 0,
      scanned: 7,
      deleted: 0,
      blobs_deleted: 0,
      freed_bytes: 0,
      freed_monthly: 0,
      skipped_recent: 2,
      skipped_pinned: 0,
      records_deleted: 0,
      uploads_aborted: 0,
      leftovers_removed: 0,
      unreadable: [],
      failed: [],
    })
  })

  it('goes by the rules of a file, whose slips it names', async () => {
    const rules = join(folder, 'rules.yaml')
    await writeFile(rules, 'default: {lifecycle: {keep_tags: ["*"]}}')
    const { stderr } = await world.run(['clean', STORE, '--tags', '--config', rules])
    expect(stderr).toMatch(/^Tags: {2}0 would be deleted \(out of 2 evaluated\)$/m)
    await writeFile(rules, 'default: {lifecycle: {max_age: soon}}')
    const slip = await world.run(['clean', STORE, '--config', rules])
    expect(slip.status).toBe(65)
    expect(slip.stderr).toMatch(/rules\.yaml/)
  })

  it('fails when a manifest cannot be read, with a document as well, and passes it over with --ignore', async () => {
    await world.bucket('b').put('manifests/bad/v1/manifest.json', Buffer.from('{'))
    const { status, stderr } = await world.run(['clean', STORE, '--blobs', '--confirm'])
    expect(status).toBe(65)
    expect(stderr).toMatch(/bad:v1.*no blob was deleted[^]*hint:.*--ignore bad:v1/)
    const { stdout } = await world.run(['clean', STORE, '-o', 'json'])
    expect(JSON.parse(stdout)).toMatchObject({
      unreadable: [{ image: 'bad:v1' }],
      error: { code: 'INTEGRITY' },
    })
    expect((await world.run(['clean', STORE, '--ignore', 'bad:v1'])).status).toBe(0)
  })

  it.each([
    [['--tags', '--blobs'], 64],
    [['--grace', 'soon'], 64],
    [['--grace', '-1h'], 64],
    [['--config', 'missing.yaml'], 66],
  ])('refuses %j', async (options, status) => {
    expect((await world.run(['clean', STORE, ...options])).status).toBe(status)
    expect(await tags()).toHaveLength(2)
  })

  it('says that content stays after tags alone', async () => {
    const { stderr } = await world.run(['clean', STORE, '--tags', '--confirm'])
    expect(stderr).toMatch(/^Their images stay pullable by digest, with their content/m)
  })
})
