import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ImageStore } from '@s3lo/core'
import { MemoryBackend } from '@s3lo/core/testing'
import { describeRegistry } from '@s3lo/registry-conformance/vitest'
import { afterAll } from 'vitest'
import { NO_TOOLS } from '../src/judgement/push-policies.ts'
import { startServing } from '../src/serve.ts'
import { HASH } from './support/access.ts'
import { serveMemory } from './support/served-store.ts'

const ended: (() => Promise<unknown>)[] = []
afterAll(() => Promise.all(ended.map((end) => end())))

describeRegistry('a store in memory', async () => {
  const store = await serveMemory()
  ended.push(async () => store[Symbol.asyncDispose]())
  return { url: store.url, version: 'dev', with: ['digest-algorithm'], strict: true }
})

const CONFIG = `
users: { htpasswd: htpasswd }
access:
  - { repositories: '**', who: alice, may: [pull, push, delete, catalog] }
`

describeRegistry('one with users and tokens', async () => {
  const folder = await mkdtemp(join(tmpdir(), 's3lo-serve-'))
  await writeFile(join(folder, 'serve.yaml'), CONFIG)
  await writeFile(join(folder, 'htpasswd'), `alice:${HASH}\n`)
  const host = {
    openStore: () => Promise.resolve(new ImageStore(new MemoryBackend())),
    validationTools: () => NO_TOOLS,
  }
  const config = join(folder, 'serve.yaml')
  const settings = { listen: '127.0.0.1:0', readOnly: false, drain: '0s', config }
  const { url, stop } = await startServing(host, 'memory://x/', settings, {})
  ended.push(stop, () => rm(folder, { recursive: true }))
  const credentials = { username: 'alice', password: 'secret' }
  return { url, version: 'dev', with: ['digest-algorithm'], credentials }
})
