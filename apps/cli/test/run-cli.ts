import { Readable, Writable } from 'node:stream'
import {
  type BackendModule,
  type Contribution,
  createHost,
  definePlugin,
  type Host,
  type HostOptions,
  type OpenedSource,
  type OpenedTarget,
  type Plugin,
} from '@s3lo/core'
import { FixtureSource, type ImageFixture, MemoryBackend } from '@s3lo/core/testing'
import type { S3loContext } from '../src/context.ts'
import type { Interruption } from '../src/interrupt.ts'
import { run } from '../src/run.ts'

/** A stream that remembers; with `columns` it is a terminal. */
export class CapturedStream extends Writable {
  text = ''
  isTTY: boolean | undefined
  columns: number | undefined
  rows: number | undefined

  constructor(columns?: number) {
    super({ decodeStrings: false })
    this.columns = columns
    this.isTTY = columns === undefined ? undefined : true
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.text += String(chunk)
    done()
  }
}

/** An interruption that a test triggers. */
export class FakeInterruption implements Interruption {
  readonly #controller = new AbortController()
  exitStatus: number | undefined

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  interrupt(reason: unknown, exitStatus = 130): void {
    this.exitStatus = exitStatus
    this.#controller.abort(reason)
  }

  onHangUp(): () => void {
    return () => {}
  }

  close(): void {}
}

export interface RunOptions {
  readonly env?: Record<string, string | undefined>
  /** Default: nothing to read. */
  readonly stdin?: Readable
  readonly stdout?: Writable
  readonly stderr?: CapturedStream
  readonly interruption?: Interruption
  /** In place of the operations of a host with memory stores. */
  readonly host?: Partial<Host>
  readonly plugins?: Partial<S3loContext['plugins']>
  /** Sees what the host is made with. */
  readonly onHost?: (options: HostOptions) => void
}

export interface RunResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** `mem://` stores and `fix:` images that live in this process. */
export class MemoryWorld {
  readonly buckets = new Map<string, MemoryBackend>()
  readonly images: Record<string, ImageFixture> = {}
  readonly plugin: Plugin = definePlugin({
    name: 'memory',
    apiVersion: 1,
    backends: {
      mem: this.#memory(),
      // What the backend calls itself, in references that are shown.
      memory: this.#memory(),
    },
    sources: {
      fix: {
        summary: 'fixtures',
        load: () => Promise.resolve({ openSource: (text) => Promise.resolve(this.#source(text)) }),
      },
      'docker-daemon': {
        summary: 'an engine',
        load: () => Promise.resolve({ openTarget: (text) => Promise.resolve(this.#target(text)) }),
      },
    },
  })

  bucket(name: string): MemoryBackend {
    const bucket = this.buckets.get(name) ?? new MemoryBackend({ bucket: name })
    this.buckets.set(name, bucket)
    return bucket
  }

  /** Runs a command line and captures what it says. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const stdout = options.stdout ?? new CapturedStream()
    const stderr = options.stderr ?? new CapturedStream()
    const status = await run({
      argv,
      env: options.env ?? {},
      stdin: options.stdin ?? Readable.from([]),
      stdout,
      stderr,
      interruption: options.interruption ?? new FakeInterruption(),
      plugins: {
        find: () => Promise.resolve(undefined),
        findCommand: () => Promise.resolve(undefined),
        commands: () => Promise.resolve([]),
        ...options.plugins,
      },
      openHost: (hostOptions) => {
        options.onHost?.(hostOptions)
        const host = createHost({
          ...hostOptions,
          plugins: [this.plugin],
          findPlugin: options.plugins?.find,
        })
        return Promise.resolve(options.host ? fakeHost(options.host) : host)
      },
    })
    return {
      status,
      stdout: stdout instanceof CapturedStream ? stdout.text : '',
      stderr: stderr.text,
    }
  }

  #memory(): Contribution<BackendModule> {
    const openBackend: BackendModule['openBackend'] = ({ bucket }) =>
      Promise.resolve(this.bucket(bucket))
    return { summary: 'memory', load: () => Promise.resolve({ openBackend }) }
  }

  #source(text: string): OpenedSource {
    const [name = '', tag = 'latest'] = text.split(':')
    return { source: new FixtureSource(this.images), reference: { name, tag } }
  }

  #target(text: string): OpenedTarget {
    const [name = '', tag = 'latest'] = text.split(':')
    return {
      reference: { name, tag },
      target: {
        kind: 'streaming',
        name: 'engine',
        acceptsIndex: () => Promise.resolve(false),
        receive: async (root, source) => {
          const { successors, parseManifest } = await import('@s3lo/core')
          for (const blob of successors(parseManifest(root.content, root.descriptor.digest))) {
            for await (const _ of await source.fetch(blob)) {
              // Read to the end, as an engine does.
            }
          }
        },
      },
    }
  }
}

/** A host of which a test says what some operations do; the others must not be called. */
function fakeHost(operations: Partial<Host>): Host {
  const unexpected = (): Promise<never> => Promise.reject(new Error('not expected in this test'))
  return {
    locate: (reference) => Promise.resolve(reference),
    push: unexpected,
    pull: unexpected,
    copy: unexpected,
    scan: unexpected,
    sbom: unexpected,
    validate: unexpected,
    sign: unexpected,
    verify: unexpected,
    open: unexpected,
    copyTags: unexpected,
    list: unexpected,
    tags: unexpected,
    listUntagged: unexpected,
    inspect: unexpected,
    manifest: unexpected,
    cat: unexpected,
    clean: unexpected,
    files: unexpected,
    delete: unexpected,
    deleteAllTags: unexpected,
    restore: unexpected,
    restorable: unexpected,
    history: unexpected,
    login: unexpected,
    logout: unexpected,
    openStore: unexpected,
    openImage: unexpected,
    init: unexpected,
    getConfig: unexpected,
    setConfig: unexpected,
    removeConfig: unexpected,
    recommend: unexpected,
    stats: unexpected,
    layerSharing: unexpected,
    doctor: unexpected,
    ...operations,
  }
}
