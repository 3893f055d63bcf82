import { beforeEach, describe, expect, it } from 'vitest'
import {
  createHost,
  definePlugin,
  type Host,
  parseExplicitReference,
  type ProgressEvent,
} from '../../src/index.ts'
import {
  FixtureSource,
  imageFixture,
  indexFixture,
  MemoryBackend,
} from '../../src/testing/index.ts'

/** What a program that follows the guide prints. */
let printed: string[]
const print = (line: string): void => void printed.push(line)

let host: Host
beforeEach(() => {
  printed = []
  const bucket = new MemoryBackend({ bucket: 'my-bucket' })
  const myapp = imageFixture({ layers: ['base', 'app'] })
  const alpine = indexFixture(
    {
      'linux/amd64': imageFixture({ layers: ['amd'], platform: 'linux/amd64' }),
      'linux/arm64': imageFixture({ layers: ['arm'], platform: 'linux/arm64' }),
    },
    {},
  )
  const source = new FixtureSource({ 'myapp:v1.0': myapp, 'alpine:latest': alpine })
  const scan = () => Promise.resolve({ hasFindings: true, report: 'CVE-2026-0001' })
  const scanner = { name: 'trivy', scan, sbom: () => Promise.resolve('{}') }
  const openSource = (text: string) => {
    const [name = '', tag = ''] = text.split(':')
    return Promise.resolve({ source, reference: { name, tag } })
  }
  const of = <T>(module: T) => ({ summary: 'example', load: () => Promise.resolve(module) })
  host = createHost({
    plugins: [
      definePlugin({
        name: 'example',
        apiVersion: 1,
        backends: { s3: of({ openBackend: () => Promise.resolve(bucket) }) },
        sources: { 'docker-daemon': of({ openSource }), docker: of({ openSource }) },
        scanners: { trivy: of({ openScanner: () => Promise.resolve(scanner) }) },
      }),
    ],
  })
})

describe('the examples of the library guide', () => {
  /** A line for each blob: what the guide prints from its callback. */
  function onProgress(event: ProgressEvent): void {
    if (event.type === 'plan') print(`${event.blobs} blobs, ${event.bytes} bytes`)
    if (event.type !== 'blob' || event.phase === 'start') return
    const { digest, size } = event.descriptor
    if (event.phase === 'skip') print(`skip ${digest.slice(0, 12)}`)
    else print(`upload ${digest.slice(0, 12)} (${size} bytes)`)
  }

  it('push prints each blob, on an unchanged push too', async () => {
    await host.push('myapp:v1.0', 's3://my-bucket/myapp:v1.0', { onProgress })
    expect(printed).toEqual([
      expect.stringMatching(/^3 blobs, \d+ bytes$/),
      ...Array.from({ length: 3 }, () =>
        expect.stringMatching(/^upload sha256:\w{5} \(\d+ bytes\)$/),
      ),
    ])
    printed = []
    await host.push('myapp:v1.0', 's3://my-bucket/myapp:v1.0', { onProgress })
    expect(printed.slice(1)).toEqual(
      Array.from({ length: 3 }, () => expect.stringMatching(/^skip sha256:\w{5}$/)),
    )
  })

  it('copy says how many blobs it copied and skipped, of one platform too', async () => {
    const all = await host.copy('alpine:latest', 's3://my-bucket/alpine:latest')
    print(`copied ${all.blobs_copied} blobs, skipped ${all.blobs_skipped}`)
    const platforms = ['linux/amd64']
    const one = await host.copy('alpine:latest', 's3://my-bucket/alpine:amd64', { platforms })
    print(`copied ${one.blobs_copied} blobs, skipped ${one.blobs_skipped}`)
    expect(printed).toEqual(['copied 4 blobs, skipped 0', 'copied 0 blobs, skipped 2'])
  })

  it('list and inspect print images, layers and platforms', async () => {
    await host.push('myapp:v1.0', 's3://my-bucket/myapp:v1.0')
    await host.copy('alpine:latest', 's3://my-bucket/alpine:latest')
    for (const { name, tags } of await host.list('s3://my-bucket/')) {
      for (const tag of tags) print(`${name}:${tag}`)
    }
    const info = await host.inspect('s3://my-bucket/myapp:v1.0')
    print(`layers: ${info.layers?.length}, size: ${info.total_size} bytes`)
    const index = await host.inspect('s3://my-bucket/alpine:latest')
    for (const { platform, layers } of index.platforms ?? []) {
      print(`platform: ${platform}, layers: ${layers?.length}`)
    }
    expect(printed).toEqual([
      'alpine:latest',
      'myapp:v1.0',
      'layers: 2, size: 33 bytes',
      'platform: linux/amd64, layers: 1',
      'platform: linux/arm64, layers: 1',
    ])
  })

  it('clean and stats print what they count', async () => {
    await host.push('myapp:v1.0', 's3://my-bucket/myapp:v1.0')
    const result = await host.clean('s3://my-bucket/')
    print(`would delete ${result.deleted} blobs (${result.freed_bytes} bytes)`)
    const stats = await host.stats('s3://my-bucket/')
    print(
      `images: ${stats.images}, tags: ${stats.tags}, saved: ${stats.logical_bytes - stats.blob_bytes}`,
    )
    expect(printed).toEqual(['would delete 0 blobs (0 bytes)', 'images: 1, tags: 1, saved: 0'])
  })

  it('scan prints each blob that it brings, and the verdict', async () => {
    await host.copy('alpine:latest', 's3://my-bucket/alpine:latest')
    const { findings } = await host.scan('s3://my-bucket/alpine:latest', {
      platform: 'linux/amd64',
      severities: ['HIGH', 'CRITICAL'],
      format: 'json',
      onProgress: (event) => {
        if (event.type !== 'blob' || event.phase !== 'done') return
        const { digest, size } = event.descriptor
        print(`downloaded ${digest.slice(0, 12)} (${size} bytes) of ${event.platform}`)
      },
    })
    if (findings) print('vulnerabilities found')
    expect(printed).toEqual([
      expect.stringMatching(/^downloaded sha256:\w{5} \(\d+ bytes\) of linux\/amd64$/),
      expect.stringMatching(/^downloaded sha256:\w{5} \(\d+ bytes\) of linux\/amd64$/),
      'vulnerabilities found',
    ])
  })

  it('history has every row unless a limit is given, with the sizes of push for a copy too', async () => {
    await host.setConfig('s3://my-bucket/', ['chunked=false'])
    for (let i = 0; i < 12; i++) {
      await host.push('myapp:v1.0', `s3://my-bucket/myapp:v${i}`)
      await host.push('myapp:v1.0', `s3://my-bucket/myapp:v${i}`)
    }
    await host.copy('myapp:v1.0', 's3://my-bucket/myapp:copied')
    const { rows } = await host.history('s3://my-bucket/myapp', { all: true })
    expect(rows).toHaveLength(13)
    expect(new Set(rows.map((row) => 'size_bytes' in row && row.size_bytes)).size).toBe(1)
    expect((await host.history('s3://my-bucket/myapp', { limit: 5 })).rows).toHaveLength(5)
  })

  it('parses a reference', () => {
    const reference = parseExplicitReference('s3://my-bucket/myapp:v1.0')
    expect(reference).toMatchObject({
      scheme: 's3',
      bucket: 'my-bucket',
      image: 'myapp',
      tag: 'v1.0',
    })
  })
})
