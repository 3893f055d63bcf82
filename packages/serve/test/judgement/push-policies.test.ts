import { type PolicyCheckModule, S3loError } from '@s3lo/core/plugin'
import type { ValidationTools } from '@s3lo/core'
import { type ImageFixture, imageFixture, putImage, referrerFixture } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import { createPushPolicies } from '../../src/judgement/push-policies.ts'
import type { RegistryOptions } from '../../src/index.ts'
import { type Reply, type ServedStore, serveMemory } from '../support/served-store.ts'

const image = imageFixture({ layers: ['layer'] })
const never = new Promise<never>(() => {})

/** Checks that pass, fail, warn of nothing, have no answer, or never end. */
const CHECKS: Readonly<Record<string, PolicyCheckModule>> = {
  good: { checkPolicy: () => Promise.resolve({ passed: true }) },
  bad: { checkPolicy: () => Promise.resolve({ passed: false, message: 'too old' }) },
  broken: { checkPolicy: () => Promise.reject(new S3loError('USAGE', 'nonsense')) },
  endless: { checkPolicy: () => never },
  scan: { isSlow: true, checkPolicy: () => Promise.resolve({ passed: true }) },
}
const tools: ValidationTools = {
  env: {},
  findCheck: (name) => {
    const check = CHECKS[name]
    if (check) return Promise.resolve(check)
    return Promise.reject(new S3loError('PLUGIN_NOT_INSTALLED', `no plugin checks ${name}`))
  },
}

async function serveWith(
  policies: readonly string[],
  options: RegistryOptions = { policyTools: tools },
): Promise<ServedStore> {
  const served = await serveMemory(options)
  const config = ['policies:', ...policies.map((policy) => `  - ${policy}`)].join('\n')
  await served.backend.put('s3lo.yaml', Buffer.from(config))
  return served
}

async function push(
  served: ServedStore,
  path: string,
  { root, content }: ImageFixture = image,
): Promise<Reply> {
  const repository = path.slice(0, path.indexOf('/manifests/'))
  for (const [digest, body] of content) {
    await served.ask(`/v2/${repository}/blobs/uploads/?digest=${digest}`, { method: 'POST', body })
  }
  const headers = { 'content-type': root.descriptor.mediaType }
  return served.ask(`/v2/${path}`, { method: 'PUT', body: root.content, headers })
}

const errorOf = ({ body }: Reply): { code: string; message: string } | undefined =>
  (JSON.parse(body.toString()) as { errors: { code: string; message: string }[] }).errors[0]

async function statusOf(served: ServedStore, path: string): Promise<number> {
  return (await served.ask(`/v2/${path}`)).status
}

describe('a push', () => {
  it('that fails a policy is denied by its name, before a tag moves; its blobs stay', async () => {
    await using served = await serveWith(['{name: fresh, check: bad, enforce: push}'])
    const reply = await push(served, 'app/manifests/v1')
    expect([reply.status, errorOf(reply)]).toEqual([
      403,
      { code: 'DENIED', message: 'app:v1 is not published: it fails fresh (too old)' },
    ])
    expect(await statusOf(served, 'app/manifests/v1')).toBe(404)
    expect(await statusOf(served, `app/manifests/${image.root.descriptor.digest}`)).toBe(404)
    for (const digest of image.content.keys()) {
      expect(await statusOf(served, `app/blobs/${digest}`)).toBe(200)
    }
  })

  it('leaves the tag what it was', async () => {
    const config = '{check: bad, enforce: push, images: [app]}'
    await using served = await serveWith([config])
    await putImage(served.backend, { name: 'app', tag: 'v1' }, image)
    const next = imageFixture({ layers: ['next'] })
    expect((await push(served, 'app/manifests/v1', next)).status).toBe(403)
    const { headers } = await served.ask('/v2/app/manifests/v1')
    expect(headers['docker-content-digest']).toBe(image.root.descriptor.digest)
  })

  it('of several tags publishes none when one is denied, and no digest either', async () => {
    const bad = '{name: strict, check: bad, enforce: push}'
    await using served = await serveWith([bad])
    const { digest } = image.root.descriptor
    expect((await push(served, `app/manifests/${digest}?tag=a&tag=b`)).status).toBe(403)
    for (const name of ['a', 'b', digest]) {
      expect(await statusOf(served, `app/manifests/${name}`)).toBe(404)
    }
  })

  it('by digest alone is not judged: a part of an index comes before the index', async () => {
    await using served = await serveWith(['{check: bad, enforce: push}'])
    expect((await push(served, `app/manifests/${image.root.descriptor.digest}`)).status).toBe(201)
  })

  it('of what is said about an image is not judged', async () => {
    await using served = await serveWith(['{check: bad, enforce: push}'])
    const { descriptor } = image.root
    const referrer = referrerFixture(descriptor, 'x/sbom', 'all that is in it')
    const tag = `${descriptor.digest.replace(':', '-')}.sbom`
    expect((await push(served, `app/manifests/${tag}`, referrer)).status).toBe(201)
    // An image is one under such a tag, too.
    expect((await push(served, `app/manifests/${tag}`)).status).toBe(403)
    expect((await push(served, 'app/manifests/v1', referrer)).status).toBe(403)
  })

  it('that passes, or that no policy is about, is published', async () => {
    await using served = await serveWith([
      '{check: good, enforce: push}',
      '{check: bad}',
      '{check: bad, enforce: push, images: [other/*]}',
    ])
    expect((await push(served, 'app/manifests/v1')).status).toBe(201)
    expect((await push(served, 'other/app/manifests/v1')).status).toBe(403)
  })

  it('that a policy warns of is published with the warning', async () => {
    await using served = await serveWith(['{name: fresh, check: bad, enforce: warn}'])
    const { status, headers } = await push(served, 'app/manifests/v1')
    expect([status, headers['warning']]).toEqual([
      201,
      '299 - "app:v1 fails the policy fresh (too old)"',
    ])
  })

  it.each(['broken', 'scan', 'unknown'])(
    'is never let through by a check that has no answer: %s',
    async (check) => {
      await using served = await serveWith([`{check: ${check}, enforce: push}`])
      expect((await push(served, 'app/manifests/v1')).status).toBe(500)
      expect(await statusOf(served, 'app/manifests/v1')).toBe(404)
    },
  )

  it('is not let through by a registry that was given no checks', async () => {
    await using served = await serveWith(['{check: good, enforce: push}'], {})
    expect((await push(served, 'app/manifests/v1')).status).toBe(500)
  })

  it('does not wait for a check that does not end', async () => {
    await using served = await serveWith(['{check: endless, enforce: push}'])
    const judge = createPushPolicies(served.store, tools, 1)
    const judged = judge(image.root, { name: 'app', tag: 'v1' }, {})
    await expect(judged).rejects.toMatchObject({ options: { status: 503 } })
  })

  it('ends its judgement when its client leaves', async () => {
    await using served = await serveWith(['{check: endless, enforce: push}'])
    const leaving = new AbortController()
    const judge = createPushPolicies(served.store, tools)
    const judged = judge(image.root, { name: 'app', tag: 'v1' }, { signal: leaving.signal })
    leaving.abort(new Error('left'))
    await expect(judged).rejects.toThrow('left')
  })
})
