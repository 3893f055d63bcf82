import { createHost, type Host } from '../../src/host.ts'
import { definePlugin, type OpenedSource } from '../../src/contract/plugin.ts'
import { FixtureSource, type ImageFixture, MemoryBackend } from '../../src/testing/index.ts'

/** A host whose `mem://` buckets live in this process and whose `fix:` images are fixtures. */
export class MemoryWorld {
  readonly buckets = new Map<string, MemoryBackend>()
  readonly images: Record<string, ImageFixture> = {}
  readonly host: Host = createHost({
    plugins: [
      definePlugin({
        name: 'memory',
        apiVersion: 1,
        backends: {
          mem: {
            summary: 'memory',
            load: () =>
              Promise.resolve({
                openBackend: ({ bucket }) => Promise.resolve(this.bucket(bucket)),
              }),
          },
        },
        sources: {
          fix: {
            summary: 'fixtures',
            load: () =>
              Promise.resolve({ openSource: (text) => Promise.resolve(this.#open(text)) }),
          },
        },
      }),
    ],
  })

  bucket(name: string): MemoryBackend {
    const known = this.buckets.get(name)
    if (known) return known
    const made = new MemoryBackend({ bucket: name })
    this.buckets.set(name, made)
    return made
  }

  #open(text: string): OpenedSource {
    const [name = '', tag = 'latest'] = text.split(':')
    return { source: new FixtureSource(this.images), reference: { name, tag } }
  }
}
