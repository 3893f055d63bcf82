import { describeRegistry } from '@s3lo/registry-conformance/vitest'
import { afterAll } from 'vitest'
import { createAccessControl } from '../src/auth/access.ts'
import { parseHtpasswd } from '../src/auth/htpasswd.ts'
import { ACTIONS } from '../src/auth/rules.ts'
import { makeSigningKey } from '../src/auth/signing-key.ts'
import { type ServedStore, serveMemory } from './support/served-store.ts'

const served: ServedStore[] = []
afterAll(() => Promise.all(served.map((each) => each[Symbol.asyncDispose]())))

describeRegistry('a store in memory', async () => {
  const store = await serveMemory()
  served.push(store)
  return { url: store.url, version: 'dev', with: ['digest-algorithm'] }
})

describeRegistry('a store in memory, by tokens', async () => {
  const control = createAccessControl({
    // As `htpasswd -nbB -C 5 alice secret` printed it.
    users: parseHtpasswd('alice:$2y$05$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES', ''),
    issuers: [],
    rules: [{ repositories: ['**'], who: [{ kind: 'user', name: 'alice' }], may: ACTIONS }],
    signingKey: makeSigningKey(),
  })
  const store = await serveMemory({
    authorize: control.authorize,
    pages: { '/token': control.tokenPage },
  })
  served.push(store)
  const credentials = { username: 'alice', password: 'secret' }
  return { url: store.url, version: 'dev', with: ['digest-algorithm'], credentials }
})
