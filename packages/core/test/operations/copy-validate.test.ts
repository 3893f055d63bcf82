import { describe, expect, it } from 'vitest'
import { definePlugin } from '../../src/contract/plugin.ts'
import { createHost } from '../../src/host.ts'
import { FixtureSource, imageFixture } from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['a'] })
const reference = { name: 'app', tag: 'v1' }
const unexpected = (): Promise<never> => Promise.reject(new Error('nothing is to be moved'))

/** Ends that are no stores. */
const host = createHost({
  plugins: [
    definePlugin({
      name: 'ends',
      apiVersion: 1,
      sources: {
        fix: {
          summary: 'fixtures',
          load: () =>
            Promise.resolve({
              openSource: () =>
                Promise.resolve({ source: new FixtureSource({ 'app:v1': image }), reference }),
            }),
        },
        stream: {
          summary: 'an engine',
          load: () =>
            Promise.resolve({
              openSource: () =>
                Promise.resolve({
                  reference,
                  source: {
                    kind: 'streaming' as const,
                    name: 'engine',
                    matches: unexpected,
                    transfer: unexpected,
                  },
                }),
              openTarget: () =>
                Promise.resolve({
                  reference,
                  target: {
                    kind: 'streaming' as const,
                    name: 'engine',
                    acceptsIndex: unexpected,
                    receive: unexpected,
                  },
                }),
            }),
        },
        oci: {
          summary: 'layouts',
          load: () => Promise.resolve({ openSource: unexpected, openTarget: unexpected }),
        },
      },
    }),
  ],
})

describe('copy --validate', () => {
  it.each(['fix:app:v1', 'stream:app:v1'])(
    'of %s refuses a target without policies',
    async (from) => {
      const copying = host.copy(from, 'stream:app:v1', { validate: true })
      await expect(copying).rejects.toMatchObject({ code: 'USAGE' })
    },
  )
})
