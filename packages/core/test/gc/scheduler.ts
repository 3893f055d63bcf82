import type { StorageBackend } from '../../src/contract/storage-backend.ts'

/** A request that waits for its turn. */
export interface Request {
  readonly method: string
  readonly key: string
}

/** A participant whose every request waits until the scheduler lets it go. */
export class Actor {
  readonly name: string
  /** What it is about to ask for; `undefined` once it has ended. */
  waiting: Request | undefined
  failure: unknown
  #go: () => void = () => {}
  #stopped = Promise.withResolvers<void>()
  /** Requests at once wait in a row. */
  #last: Promise<void> = Promise.resolve()

  constructor(name: string) {
    this.name = name
  }

  /** Starts the work and resolves when it stands before its first request. */
  async start(work: () => Promise<unknown>): Promise<void> {
    const end = (failure?: unknown): void => {
      this.failure = failure
      this.waiting = undefined
      this.#stopped.resolve()
    }
    work().then(() => end(), end)
    await this.#stopped.promise
  }

  /** Lets the request go and resolves when it stands before the next one, or has ended. */
  async step(): Promise<void> {
    this.#stopped = Promise.withResolvers()
    this.#go()
    await this.#stopped.promise
  }

  /** Waits for its turn. */
  async turn(request: Request): Promise<void> {
    const before = this.#last
    const own = Promise.withResolvers<void>()
    this.#last = own.promise
    await before
    this.waiting = request
    const turn = new Promise<void>((resolve) => {
      this.#go = resolve
    })
    this.#stopped.resolve()
    await turn
    own.resolve()
  }

  /** The store as this participant sees it; requests that `isFree` selects do not wait. */
  through(backend: StorageBackend, isFree: (request: Request) => boolean): StorageBackend {
    const gate = async (method: string, key: string): Promise<void> => {
      if (!isFree({ method, key })) await this.turn({ method, key })
    }
    async function* list(
      prefix: string,
      options?: Parameters<StorageBackend['list']>[1],
    ): ReturnType<typeof backend.list> & AsyncGenerator {
      await gate('list', prefix)
      yield* await Array.fromAsync(backend.list(prefix, options))
    }
    return {
      scheme: backend.scheme,
      bucket: backend.bucket,
      guarantees: backend.guarantees,
      head: async (key, options) => (await gate('head', key), backend.head(key, options)),
      get: async (key, options) => (await gate('get', key), backend.get(key, options)),
      put: async (key, body, options) => (await gate('put', key), backend.put(key, body, options)),
      delete: async (keys, options) => (
        await gate('delete', keys[0] ?? ''),
        backend.delete(keys, options)
      ),
      list,
      listPrefixes: (prefix, options) => backend.listPrefixes(prefix, options),
    }
  }
}

/** Chooses by a list of numbers, then the first; remembers how many there were to choose from. */
export class Choices {
  readonly made: number[] = []
  readonly #options: number[] = []
  readonly #prefix: readonly number[]

  constructor(prefix: readonly number[]) {
    this.#prefix = prefix
  }

  choose<T>(items: readonly T[]): T {
    const choice = this.#prefix[this.made.length] ?? 0
    this.made.push(choice)
    this.#options.push(items.length)
    return items[choice]!
  }

  /** The next list of choices in order; `undefined` after the last one. */
  next(): readonly number[] | undefined {
    for (let i = this.made.length - 1; i >= 0; i--) {
      if (this.made[i]! + 1 < this.#options[i]!)
        return [...this.made.slice(0, i), this.made[i]! + 1]
    }
    return undefined
  }
}
