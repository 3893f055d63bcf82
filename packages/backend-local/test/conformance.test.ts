import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeBackend } from '@s3lo/backend-conformance'
import type { StorageBackend } from '@s3lo/core'
import { afterAll, beforeAll } from 'vitest'
import { openBackend } from '../src/index.ts'

let place: string

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 's3lo-local-'))
  await symlink('loop', join(place, 'loop'))
})

afterAll(() => rm(place, { recursive: true }))

const open = (bucket: string): Promise<StorageBackend> =>
  openBackend({ scheme: 'local', bucket }, { env: {} })

describeBackend('backend-local', {
  open: async () => open(await mkdtemp(join(place, 'store-'))),
  openAgain: ({ bucket }) => open(bucket),
  // Permissions do not stop root; a link to itself stops everyone.
  openDenied: () => open(join(place, 'loop')),
})
