import { Writable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import {
  type CommandDefinition,
  type CommandOutput,
  createHost,
  definePlugin,
  type Host,
  type ImageFilesOptions,
  MEDIA_TYPE,
  type Plugin,
  type ProgressEvent,
} from '@s3lo/core'
import {
  imageFixture,
  MemoryBackend,
  putImage,
  runCommand,
  TAR_END,
  tarFile,
} from '@s3lo/core/testing'
import soci from '../../src/plugin.ts'

/** A layer of several spans, when they are small. */
export const LAYER = gzipSync(
  Buffer.concat([
    tarFile('etc/motd', 'welcome\n'),
    tarFile('big', Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * i * 7 + i) >> 5))),
    tarFile('etc/last', 'last\n'),
    TAR_END,
  ]),
)
export const REF = 'mem://b/app:v1'

export interface Ran {
  readonly output: CommandOutput
  readonly text: string
}

export interface Read {
  readonly text: string
  readonly fetched: number
  /** Codes. */
  readonly notices: readonly string[]
}

/** A store in memory, a host that opens it, and the commands of the plugin. */
export class SociWorld {
  readonly backend = new MemoryBackend({ bucket: 'b' })
  readonly host: Host
  /** What the commands have reported. */
  readonly progress: ProgressEvent[] = []
  /** The plugin of the store. */
  readonly memory: Plugin

  private constructor() {
    const { backend } = this
    this.memory = definePlugin({
      name: 'memory',
      apiVersion: 1,
      backends: {
        mem: {
          summary: 'memory',
          load: () => Promise.resolve({ openBackend: () => Promise.resolve(backend) }),
        },
      },
    })
    this.host = createHost({ plugins: [this.memory, soci] })
  }

  /** The store has the image {@link REF}, of these layers from the bottom up. */
  static async open(
    layers: readonly Uint8Array[] = [LAYER],
    layerType: string = MEDIA_TYPE.ociLayerGzip,
  ): Promise<SociWorld> {
    const world = new SociWorld()
    await putImage(world.backend, { name: 'app', tag: 'v1' }, imageFixture({ layers, layerType }))
    return world
  }

  /** Runs a command as the command line does, but throws what it throws. */
  async run(...argv: readonly string[]): Promise<Ran> {
    let text = ''
    const stdout = new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += chunk.toString()
        done()
      },
    })
    const contribution = soci.commands
      .filter(({ path }) => path.every((word, i) => argv[i] === word))
      .toSorted((a, b) => b.path.length - a.path.length)[0]
    if (!contribution) throw new Error('no such command')
    const { default: command } = await contribution.load()
    const onProgress = (event: ProgressEvent): void => void this.progress.push(event)
    const output = await runCommand(
      command as CommandDefinition,
      argv.slice(contribution.path.length),
      { host: this.host, options: { onProgress }, stdout },
    )
    return { output, text }
  }

  async resultOf(...argv: readonly string[]): Promise<unknown> {
    return (await this.run(...argv)).output?.result
  }

  /** The digest of the only one in a list. */
  async onlyDigest(...argv: readonly string[]): Promise<string> {
    const [only] = (await this.resultOf(...argv)) as readonly { readonly digest: string }[]
    return only?.digest ?? ''
  }

  async cat(path: string, options: ImageFilesOptions = {}, ref = REF): Promise<Read> {
    let text = ''
    const notices: string[] = []
    const take = async (content: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const chunk of content) text += Buffer.from(chunk).toString()
    }
    const result = await this.host.cat(ref, path, take, {
      platform: 'linux/amd64',
      onProgress: (event) => event.type === 'notice' && notices.push(event.code),
      ...options,
    })
    return { text, fetched: result.fetched_bytes, notices }
  }

  async keys(prefix = ''): Promise<readonly string[]> {
    return Array.fromAsync(this.backend.list(prefix), ({ key }) => key)
  }
}
