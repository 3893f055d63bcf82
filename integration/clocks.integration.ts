import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBackend } from '@s3lo/backend-local'
import type { StorageBackend } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ClockReport, SHARED_IMAGE, SHARED_TAG } from './clock-worker.ts'
import { readWhole } from './read-whole.ts'
import { requiredService } from './required.ts'
import { SourceCli } from './source-cli.ts'

const library = requiredService('faketime', 'S3LO_TEST_FAKETIME')
const DAY_MS = 24 * 3_600_000
const OFFSETS = ['-1d', '+1d'] as const

function blobKey(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`
}

/** A machine that mounts the directory and has another time: dates of files are the server's. */
function withClock(offset: string): Readonly<Record<string, string>> {
  return {
    LD_PRELOAD: library ?? '',
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
    FAKE_UTIME: '0',
  }
}

describe.skipIf(library === undefined)('a directory that machines with other clocks share', () => {
  let directory: string
  let home: string
  let backend: StorageBackend

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 's3lo-clocks-'))
    home = await mkdtemp(join(tmpdir(), 's3lo-clocks-home-'))
    backend = await openBackend({ scheme: 'local', bucket: directory }, { env: {} })
  })
  afterEach(async () => {
    await backend.close?.()
    for (const folder of [directory, home]) await rm(folder, { recursive: true, force: true })
  })

  function start(role: 'push' | 'clean', offset?: string): ChildProcess {
    return fork(join(import.meta.dirname, 'clock-worker.ts'), [role, directory], {
      execArgv: ['--conditions=s3lo-source'],
      env: { PATH: process.env['PATH'], ...(offset === undefined ? {} : withClock(offset)) },
    })
  }

  async function report(child: ChildProcess): Promise<ClockReport> {
    const [message] = (await once(child, 'message')) as [ClockReport]
    return message
  }

  /** Blobs of an image that no tag needs, three hours old. */
  async function plantGarbage(): Promise<void> {
    const then = Date.now() / 1000 - 3 * 3600
    for (const [digest, content] of SHARED_IMAGE.content) {
      await backend.put(blobKey(digest), content)
      await utimes(join(directory, blobKey(digest)), then, then)
    }
  }

  const cases = OFFSETS.flatMap(
    (offset) =>
      [
        { title: `a clean at ${offset} spares what a push is about to use`, clean: offset },
        { title: `a clean spares what a push at ${offset} is about to use`, push: offset },
        {
          title: `a clean at ${offset} and a push at the other end agree`,
          clean: offset,
          push: offset === '-1d' ? '+1d' : '-1d',
        },
      ] as readonly { title: string; clean?: string; push?: string }[],
  )

  it.each(cases)('$title', async ({ clean, push }) => {
    await plantGarbage()
    const pushing = start('push', push)
    expect(await report(pushing)).toBe('paused')
    const cleaned = await report(start('clean', clean))
    expect(cleaned).toMatchObject({ deleted: 0, pinned: SHARED_IMAGE.content.size })
    pushing.send('go')
    const pushed = await report(pushing)
    expect(await readWhole(backend, SHARED_TAG, [SHARED_IMAGE])).toBe(
      SHARED_IMAGE.root.descriptor.digest,
    )
    for (const [{ clock, notices }, offset] of [
      [cleaned, clean],
      [pushed, push],
    ] as const) {
      const shift = offset === undefined ? 0 : offset === '+1d' ? DAY_MS : -DAY_MS
      expect(Math.abs(clock - Date.now() - shift)).toBeLessThan(DAY_MS / 2)
      expect(notices).toEqual(offset === undefined ? [] : ['clock-skew'])
    }
  })

  it.each(OFFSETS)(
    'a clean at %s gives fresh uploads their grace and says once that its clock is off',
    async (offset) => {
      await plantGarbage()
      const [fresh = ''] = SHARED_IMAGE.content.keys()
      await backend.put(blobKey(fresh), SHARED_IMAGE.content.get(fresh) ?? Buffer.alloc(0))
      const cli = await SourceCli.open(home)
      for (const args of [[], ['--confirm']]) {
        const command = [
          'clean',
          `local://${directory}//`,
          '--expect-fewer',
          '--explain',
          '-o',
          'json',
          ...args,
        ]
        const { stdout, stderr } = await cli.run(command, withClock(offset))
        const { objects } = JSON.parse(stdout) as { objects: { key: string; outcome: string }[] }
        const outcomes = new Map(objects.map(({ key, outcome }) => [key, outcome]))
        expect(outcomes.get(blobKey(fresh))).toBe('recent')
        expect(new Set(outcomes.values())).toEqual(new Set(['recent', 'condemned']))
        expect(
          stderr.match(/the clock of this machine is 24 hours (?:ahead of|behind) that of local:/g),
        ).toHaveLength(1)
      }
    },
  )

  it.each(OFFSETS)(
    'a push at %s dates its tag and its history by the directory',
    async (offset) => {
      const pushing = start('push', offset)
      expect(await report(pushing)).toBe('paused')
      pushing.send('go')
      await report(pushing)
      const info = await backend.head('manifests/app/v1/manifest.json')
      expect(Math.abs((info?.lastModified.getTime() ?? 0) - Date.now())).toBeLessThan(DAY_MS / 2)
      const { body } = await backend.get('manifests/app/v1/history.json')
      const [entry] = JSON.parse(Buffer.concat(await body.toArray()).toString()) as {
        pushed_at: string
      }[]
      expect(Math.abs(Date.parse(entry?.pushed_at ?? '') - Date.now())).toBeLessThan(DAY_MS / 2)
    },
  )
})
