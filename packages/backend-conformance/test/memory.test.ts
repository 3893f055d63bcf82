import type { StorageBackend } from '@s3lo/core'
import { S3loError } from '@s3lo/core'
import { FaultyBackend, MemoryBackend } from '@s3lo/core/testing'
import { describeBackend } from '../src/index.ts'

const openDenied = async (): Promise<StorageBackend> =>
  new FaultyBackend(new MemoryBackend(), {
    before: () => {
      throw new S3loError('FORBIDDEN', 'access denied')
    },
  })

describeBackend('MemoryBackend', { open: async () => new MemoryBackend(), openDenied })

describeBackend('MemoryBackend without guarantees', {
  open: async () =>
    new MemoryBackend({
      guarantees: { createOnly: false, compareAndSwap: false, deadlines: false },
    }),
})

describeBackend('FaultyBackend without faults', {
  open: async () => new FaultyBackend(new MemoryBackend()),
})
