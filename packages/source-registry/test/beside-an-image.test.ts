import { copy, ImageStore, MEDIA_TYPE } from '@s3lo/core'
import type { ProgressEvent } from '@s3lo/core/plugin'
import { MemoryBackend } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { codeOf } from './code-of.ts'
import { blobOf, CONFIG, documentOf, IMAGE, LAYER, listOf, opener, referrerOf } from './images.ts'
import { MemoryRegistry, refuse, type Script } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const INDEX = documentOf(
  { manifests: [{ ...IMAGE.descriptor, platform: { os: 'linux', architecture: 'amd64' } }] },
  MEDIA_TYPE.ociIndex,
)
const SBOM = referrerOf(INDEX.descriptor, 'a/sbom')
const EMPTY = blobOf('{}')
const REFERENCE = { name: 'app', tag: 'v1' }
/** `sha256-<hex>`, with or without a suffix of cosign. */
const GUESSED = /\/manifests\/sha256-[0-9a-f]{64}/

const registries: MemoryRegistry[] = []
let notices: string[]
const onProgress = (event: ProgressEvent): void => {
  if (event.type === 'notice') notices.push(event.code)
}

beforeEach(() => {
  notices = []
})
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop()
})

async function start(referrers = false): Promise<MemoryRegistry> {
  const registry = await MemoryRegistry.start({ referrers })
  registries.push(registry)
  return registry
}

/** A registry with a multi-platform image, and an SBOM of it where that is wanted. */
async function startFull({ referrers = false, sbom = false } = {}): Promise<MemoryRegistry> {
  const registry = await start(referrers)
  const repository = openRepository(registry.host, 'app')
  for (const { descriptor, content } of [CONFIG, LAYER]) {
    await repository.put(descriptor, opener(content))
  }
  await repository.put(IMAGE.descriptor, opener(IMAGE.content))
  await repository.tag(INDEX, REFERENCE)
  if (sbom)
    await repository.attach(
      SBOM,
      { repository: 'app', subject: INDEX.descriptor },
      opener(EMPTY.content),
    )
  await repository.close()
  return registry
}

/** Answers requests whose URL matches with a status; 200 gives a page for people. */
function answering(pattern: RegExp, status: number, method = /GET|HEAD/): Script {
  return (request, response) => {
    if (!pattern.test(request.url ?? '') || !method.test(request.method ?? '')) return false
    if (status === 200) response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
    else response.writeHead(status).end()
    return true
  }
}

async function pullFrom(
  registry: MemoryRegistry,
  referrers?: 'all' | 'none',
): Promise<Awaited<ReturnType<typeof copy>>> {
  const source = openRepository(registry.host, 'app')
  const to = { target: new ImageStore(new MemoryBackend()), reference: REFERENCE }
  try {
    return await copy({ source, reference: REFERENCE }, to, { referrers, onProgress })
  } finally {
    await source.close()
  }
}

describe('a guessed tag', () => {
  it('that gives the image itself is no index of referrers', async () => {
    const registry = await startFull()
    registry.script = (request) => {
      request.url = request.url?.replace(
        /\/manifests\/sha256-([0-9a-f]{64}).*/,
        '/manifests/sha256:$1',
      )
      return false
    }
    expect(await pullFrom(registry, 'all')).toMatchObject({ referrers_copied: 0 })
    expect(notices).toEqual([])
  })

  it('that gives the whole image for one of its platforms is no signature', async () => {
    const registry = await startFull()
    registry.script = (request) => {
      request.url = request.url?.replace(/\/manifests\/sha256-.*/, '/manifests/v1')
      return false
    }
    expect(await pullFrom(registry)).toMatchObject({ referrers_copied: 0 })
  })

  it('that gives an index of another image names no referrers', async () => {
    const registry = await startFull()
    const other = documentOf({ manifests: [IMAGE.descriptor] }, MEDIA_TYPE.ociIndex)
    const tag = `sha256-${INDEX.descriptor.digest.slice(7)}`
    registry.addManifest('app', tag, other.content, MEDIA_TYPE.ociIndex)
    expect(await pullFrom(registry)).toMatchObject({ referrers_copied: 0 })
    expect(notices).toEqual(['referrer-stranger'])
  })

  it.each([400, 401, 403, 405, 406, 200])(
    'that is answered with %i is none, and a note says so',
    async (status) => {
      const registry = await startFull()
      registry.script = answering(GUESSED, status)
      expect(await pullFrom(registry)).toMatchObject({ referrers_copied: 0 })
      expect(notices).toEqual(['referrers-refused'])
      expect(await codeOf(pullFrom(registry, 'all'))).not.toBe('none')
      expect(await codeOf(pullFrom(registry, 'none'))).toBe('none')
    },
  )

  it('that is refused as the image itself is by now is an error', async () => {
    const registry = await startFull()
    registry.script = answering(GUESSED, 403)
    const { script } = registry
    registry.script = (request, response, body) => {
      const isOver = script(request, response, body)
      if (isOver) registry.script = answering(/manifests/, 403)
      return isOver
    }
    expect(await codeOf(pullFrom(registry))).toBe('FORBIDDEN')
  })

  it('that a registry fails at is an error with a way out', async () => {
    const registry = await startFull()
    registry.script = answering(GUESSED, 503)
    await expect(pullFrom(registry)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('--referrers none'),
    })
  })
})

describe('the referrers API', () => {
  it.each([401, 403, 406])('that is refused with %i leads to the tag', async (status) => {
    const registry = await startFull({ sbom: true })
    registry.script = answering(/\/referrers\//, status)
    expect(await pullFrom(registry)).toMatchObject({ referrers_copied: 1 })
    expect(notices).toEqual(['referrers-refused'])
    expect(await codeOf(pullFrom(registry, 'all'))).not.toBe('none')
  })

  it.each([400, 404, 405, 501])('that is not there (%i) is no news', async (status) => {
    const registry = await startFull({ sbom: true })
    registry.script = answering(/\/referrers\//, status)
    expect(await pullFrom(registry, 'all')).toMatchObject({ referrers_copied: 1 })
    expect(notices).toEqual([])
  })

  it.each([500, 502, 503])('that fails with %i is an error with a way out', async (status) => {
    const registry = await startFull({ sbom: true })
    registry.script = answering(/\/referrers\//, status)
    await expect(pullFrom(registry)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('--referrers none'),
    })
  })

  it('that breaks off after a page is an error', async () => {
    const registry = await startFull({ referrers: true, sbom: true })
    registry.script = (request, response) => {
      if (!request.url?.includes('/referrers/')) return false
      if (request.url.includes('page=2')) {
        refuse(response, 404, 'NAME_UNKNOWN')
        return true
      }
      response.writeHead(200, {
        'content-type': MEDIA_TYPE.ociIndex,
        link: `<${request.url}?page=2>; rel="next"`,
      })
      response.end('{"schemaVersion":2,"manifests":[]}')
      return true
    }
    expect(await codeOf(pullFrom(registry))).toBe('INTEGRITY')
  })

  it('that lists thousands that are missing costs a bounded count of requests and lines', async () => {
    const registry = await startFull({ referrers: true })
    const manifests = Array.from({ length: 20_000 }, (_, i) => ({
      mediaType: MEDIA_TYPE.ociManifest,
      digest: `sha256:${i.toString(16).padStart(64, '0')}`,
      size: 100,
    }))
    registry.script = (request, response) => {
      if (!request.url?.includes(`/referrers/${INDEX.descriptor.digest}`)) return false
      response.writeHead(200, { 'content-type': MEDIA_TYPE.ociIndex })
      response.end(JSON.stringify({ schemaVersion: 2, manifests }))
      return true
    }
    registry.requests.length = 0
    expect(await pullFrom(registry)).toMatchObject({ referrers_copied: 0 })
    expect(notices).toHaveLength(11)
    expect(registry.requests.length).toBeLessThan(300)
    expect(await codeOf(pullFrom(registry, 'all'))).toBe('INTEGRITY')
  })
})

describe('a look-up before writing', () => {
  async function pushTo(registry: MemoryRegistry): Promise<Awaited<ReturnType<typeof copy>>> {
    const from = await startFull({ sbom: true })
    const source = openRepository(from.host, 'app')
    const signature = documentOf({ config: CONFIG.descriptor, layers: [LAYER.descriptor] })
    const tag = `sha256-${IMAGE.descriptor.digest.slice(7)}.sig`
    from.addManifest('app', tag, signature.content, MEDIA_TYPE.ociManifest)
    const target = openRepository(registry.host, 'team/app')
    const to = { target, reference: { name: 'team/app', tag: 'v1' } }
    try {
      return await copy({ source, reference: REFERENCE }, to, { onProgress })
    } finally {
      await source.close()
      await target.close()
    }
  }

  it.each([400, 401, 403])(
    'of a tag that is not there, which is refused with %i, is none',
    async (status) => {
      const registry = await start()
      registry.script = (request, response) => {
        const reference = /^\/v2\/(team\/app)\/manifests\/(.*)$/.exec(request.url ?? '')
        if (!reference || request.method === 'PUT') return false
        if (registry.manifests.has(`${reference[1]}/${reference[2]}`)) return false
        if (reference[2]?.includes(':')) return false
        response.writeHead(status).end()
        return true
      }
      expect(await pushTo(registry)).toMatchObject({ digest: INDEX.descriptor.digest })
      const target = openRepository(registry.host, 'team/app')
      const [found] = await listOf(target.referrers('team/app', INDEX.descriptor))
      expect(found?.digest).toBe(SBOM.descriptor.digest)
      await target.close()
    },
  )

  it('of a fallback tag that gives the subject itself is none', async () => {
    const registry = await startFull()
    registry.script = (request) => {
      const key = request.url?.replace('/v2/', '').replace('/manifests', '') ?? ''
      if (request.method === 'PUT' || registry.manifests.has(key)) return false
      request.url = request.url?.replace(
        /\/manifests\/sha256-([0-9a-f]{64})$/,
        '/manifests/sha256:$1',
      )
      return false
    }
    const repository = openRepository(registry.host, 'app')
    await repository.attach(
      SBOM,
      { repository: 'app', subject: INDEX.descriptor },
      opener(EMPTY.content),
    )
    const found = await listOf(repository.referrers('app', INDEX.descriptor))
    expect(found.map(({ digest }) => digest)).toEqual([SBOM.descriptor.digest])
    await repository.close()
  })

  it('of a fallback tag that names an image leaves that alone', async () => {
    const registry = await startFull()
    const tag = `sha256-${INDEX.descriptor.digest.slice(7)}`
    registry.addManifest('app', tag, IMAGE.content, MEDIA_TYPE.ociManifest)
    const repository = openRepository(registry.host, 'app')
    const attached = repository.attach(
      SBOM,
      { repository: 'app', subject: INDEX.descriptor },
      opener(EMPTY.content),
    )
    expect(await codeOf(attached)).toBe('CONFLICT')
    expect(registry.manifests.get(`app/${tag}`)?.content).toEqual(IMAGE.content)
    await repository.close()
  })
})
