import type { ValidationTools } from '@s3lo/core'
import { type PolicySubject, S3loError } from '@s3lo/core/plugin'
import {
  imageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
  referrerFixture,
} from '@s3lo/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Principal, RegistryOptions } from '../../src/index.ts'
import { type ServedStore, serveBackend } from '../support/served-store.ts'

const image = imageFixture({ layers: ['layer', 'shared'] })
const other = imageFixture({ layers: ['unsigned layer', 'shared'] })
const index = indexFixture({
  'linux/amd64': image,
  'linux/arm64': imageFixture({ layers: ['arm'] }),
})

/** May pull everything, and push to `mine`. */
const READER: Principal = {
  name: 'reader',
  may: ({ action, repository }) => action === 'pull' || repository === 'mine',
  pullsAll: true,
}

let backend: MemoryBackend
/** `name:tag` or `name@digest`, and the digest that was signed there. */
let signed: Map<string, string>
/** What was asked for. */
let asked: string[]
let failure: S3loError | undefined
let now: number

const tools: ValidationTools = {
  env: {},
  findCheck: () =>
    Promise.resolve({
      checkPolicy: (_rule, { name, root }: PolicySubject) => {
        const image = name.slice(name.indexOf('://') + 3).replace(/^[^/]*\//, '')
        asked.push(image)
        if (failure) return Promise.reject(failure)
        const passed = signed.get(image) === root.descriptor.digest
        return Promise.resolve(passed ? { passed } : { passed, message: 'no key signed it' })
      },
    }),
}

beforeEach(() => {
  backend = new MemoryBackend()
  signed = new Map()
  asked = []
  failure = undefined
  now = 0
})

function serve(options: RegistryOptions = {}): Promise<ServedStore<MemoryBackend>> {
  const rules = [{ name: 'key', check: 'signed', keyRef: 'cosign.pub' }]
  return serveBackend(backend, {
    authorize: () => ({ kind: 'granted', principal: READER }),
    verification: { rules, tools, now: () => now },
    ...options,
  })
}

async function statuses(
  served: ServedStore,
  paths: readonly string[],
  method = 'GET',
): Promise<readonly number[]> {
  const found: number[] = []
  for (const path of paths) found.push((await served.ask(`/v2/${path}`, { method })).status)
  return found
}

const manifest = (name: string): string => `app/manifests/${name}`
const blobs = ({ content }: { content: ReadonlyMap<string, unknown> }): readonly string[] =>
  [...content.keys()].map((digest) => `app/blobs/${digest}`)
const { digest } = image.root.descriptor

describe('with keys, a registry', () => {
  it('answers what is signed, with all that belongs to it, and nothing else', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    await putImage(backend, { name: 'app', tag: 'other' }, other)
    signed.set('app:v1', digest)
    await using served = await serve()
    for (const method of ['GET', 'HEAD']) {
      const right = [manifest('v1'), manifest(digest), ...blobs(image)]
      expect(await statuses(served, right, method)).toEqual(right.map(() => 200))
      const wrong = [manifest('other'), manifest(other.root.descriptor.digest)]
      expect(await statuses(served, wrong, method)).toEqual([403, 403])
    }
    const unsigned = blobs(other).filter((path) => !blobs(image).includes(path))
    expect(unsigned.length).toBeGreaterThan(0)
    expect(await statuses(served, unsigned)).toEqual(unsigned.map(() => 403))
  })

  it('says why', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    await using served = await serve()
    const errors = async (path: string): Promise<unknown> =>
      JSON.parse((await served.ask(`/v2/app/${path}`)).body.toString()).errors
    expect(await errors('manifests/v1')).toEqual([
      { code: 'DENIED', message: 'app:v1 is not verified: no key signed it' },
    ])
    const denied = [{ code: 'DENIED', message: `${digest} is part of no verified image of app` }]
    expect(await errors(`manifests/${digest}`)).toEqual(denied)
  })

  it('answers the platforms of an index that is signed, whichever replica is asked first', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, index)
    signed.set('app:v1', index.root.descriptor.digest)
    const { manifest: root } = index.root
    const children = root.kind === 'index' ? root.manifests : []
    for (const path of [...children.map((child) => manifest(child.digest)), ...blobs(image)]) {
      await using cold = await serve()
      expect(await statuses(cold, [path])).toEqual([200])
    }
  })

  it('takes no signature of another tag with the same manifest', async () => {
    await putImage(backend, { name: 'app', tag: 'staging' }, image)
    await putImage(backend, { name: 'app', tag: 'prod' }, image)
    signed.set('app:staging', digest)
    await using served = await serve()
    expect(await statuses(served, [manifest('staging'), manifest('prod')])).toEqual([200, 403])
    expect(await statuses(served, [manifest('prod'), manifest(digest)])).toEqual([403, 200])
  })

  it('takes no signature of another repository', async () => {
    for (const name of ['app', 'two']) await putImage(backend, { name, tag: 'v1' }, image)
    signed.set('two:v1', digest)
    await using served = await serve()
    expect(await statuses(served, ['two/manifests/v1', `two/manifests/${digest}`])).toEqual([
      200, 200,
    ])
    expect(await statuses(served, [manifest(digest), ...blobs(image)])).toEqual(
      [manifest(digest), ...blobs(image)].map(() => 403),
    )
  })

  it('judges a tag that was moved at once', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    signed.set('app:v1', digest)
    await using served = await serve()
    expect(await statuses(served, [manifest('v1')])).toEqual([200])
    await putImage(backend, { name: 'app', tag: 'v1' }, other)
    expect(await statuses(served, [manifest('v1')])).toEqual([403])
  })

  it('forgets a signature that is gone, and what it let through, in half a minute', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    signed.set('app:v1', digest)
    await using served = await serve()
    const paths = [manifest('v1'), manifest(digest), ...blobs(image)]
    expect(await statuses(served, paths)).toEqual(paths.map(() => 200))
    expect(asked).toHaveLength(1)
    signed.clear()
    now = 29_000
    expect(await statuses(served, paths)).toEqual(paths.map(() => 200))
    now = 30_000
    expect(await statuses(served, paths)).toEqual(paths.map(() => 403))
  })

  it('forgets what a tag let through that names something else since', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    signed.set('app:v1', digest)
    await using served = await serve()
    expect(await statuses(served, [manifest(digest)])).toEqual([200])
    await putImage(backend, { name: 'app', tag: 'v1' }, other)
    signed.set('app:v1', other.root.descriptor.digest)
    await putImage(backend, { name: 'app', tag: 'old' }, image)
    now = 30_000
    expect(await statuses(served, [manifest(digest), manifest('v1')])).toEqual([403, 200])
    signed.set(`app:old`, digest)
    now = 32_000
    expect(await statuses(served, [manifest(digest)])).toEqual([200])
  })

  it('sees a new signature two seconds after it was missed', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    await using served = await serve()
    expect(await statuses(served, [manifest('v1'), manifest('v1')])).toEqual([403, 403])
    expect(asked).toHaveLength(1)
    signed.set('app:v1', digest)
    now = 2_000
    expect(await statuses(served, [manifest('v1'), manifest(digest)])).toEqual([200, 200])
  })

  it('answers what says something about images, so that clients can verify', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    const sbom = referrerFixture(image.root.descriptor, 'x/sbom', 'all that is in it')
    await putImage(backend, { name: 'app', tag: `${digest.replace(':', '-')}.sbom` }, sbom)
    await using served = await serve()
    const paths = [
      manifest(`${digest.replace(':', '-')}.sbom`),
      manifest(sbom.root.descriptor.digest),
      ...blobs(sbom),
      `app/referrers/${digest}`,
      'app/tags/list',
    ]
    expect(await statuses(served, paths)).toEqual(paths.map(() => 200))
  })

  it('takes an image for no attachment, not even under the tag of a signature', async () => {
    const tag = `${digest.replace(':', '-')}.sig`
    await putImage(backend, { name: 'app', tag }, other)
    await using served = await serve()
    expect(await statuses(served, [manifest(tag)])).toEqual([403])
  })

  it('lets clients read that may push there, unless nothing is pushed', async () => {
    await putImage(backend, { name: 'mine', tag: 'v1' }, image)
    const paths = ['mine/manifests/v1', `mine/manifests/${digest}`]
    await using served = await serve()
    expect(await statuses(served, paths)).toEqual([200, 200])
    await using fixed = await serve({ readOnly: true })
    expect(await statuses(fixed, paths)).toEqual([403, 403])
  })

  it('does not answer what could not be judged', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    signed.set('app:v1', digest)
    await using served = await serve()
    const paths = [manifest('v1'), manifest(digest), ...blobs(image)]
    failure = new S3loError('UNAVAILABLE', 'the key service is down')
    expect(await statuses(served, paths)).toEqual(paths.map(() => 503))
    failure = new S3loError('NOT_FOUND', 'there is no key')
    expect(await statuses(served, paths)).toEqual(paths.map(() => 500))
    failure = undefined
    expect(await statuses(served, paths)).toEqual(paths.map(() => 200))
  })

  it('asks once for clients that come together', async () => {
    await putImage(backend, { name: 'app', tag: 'v1' }, image)
    signed.set('app:v1', digest)
    await using served = await serve()
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => served.ask(`/v2/${manifest('v1')}`)),
    )
    expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 200))
    expect(asked).toHaveLength(1)
  })
})
