import { createHost, definePlugin, type Host } from '../../src/index.ts'
import { FixtureSource, imageFixture, MemoryBackend } from '../../src/testing/index.ts'

const app = imageFixture({ layers: ['base', 'app'] })

/** Memory stores that record which are opened and closed, the image `fix:app:v1`, and a signer. */
export class HandleWorld {
  readonly opened: string[] = []
  readonly closed: string[] = []
  readonly signed: string[] = []
  readonly buckets = new Map<string, MemoryBackend>()

  host(): Host {
    const of = <T>(module: T) => ({ summary: 'test', load: () => Promise.resolve(module) })
    const openBackend = ({ bucket }: { readonly bucket: string }) =>
      Promise.resolve(this.#open(bucket))
    const openSource = (text: string) => {
      const [name = '', tag = ''] = text.split(':')
      const source = new FixtureSource({ 'app:v1': app })
      return Promise.resolve({ source, reference: { name, tag } })
    }
    return createHost({
      plugins: [
        definePlugin({
          name: 'test',
          apiVersion: 1,
          backends: { memory: of({ openBackend }) },
          sources: { fix: of({ openSource }) },
          signers: { key: of(this.#signer()) },
        }),
      ],
    })
  }

  #open(bucket: string): MemoryBackend {
    this.opened.push(bucket)
    const backend = this.buckets.get(bucket) ?? new MemoryBackend({ bucket })
    this.buckets.set(bucket, backend)
    const close = (): Promise<void> => Promise.resolve(void this.closed.push(bucket))
    return Object.assign(backend, { close })
  }

  #signer() {
    const result = { ref: 'r', digest: 'd', keyID: 'i', keyRef: 'k' }
    return {
      sign: ({ reference }: { reference: { name: string } }, { key }: { key: string }) => {
        this.signed.push(`${reference.name} ${key}`)
        const rest = { signedAt: 't', storedPath: 'p', schemaVersion: 2, algorithm: 'a' } as const
        return Promise.resolve({ ...result, ...rest })
      },
      verify: () => Promise.resolve({ ...result, verified: true }),
    }
  }
}
