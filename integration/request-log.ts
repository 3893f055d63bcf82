import type { BackendModule, Plugin, StorageBackend } from '@s3lo/core/plugin'

/** One request to a store: when it began and ended, in milliseconds since the log was started. */
export interface LoggedRequest {
  readonly what: string
  readonly start: number
  end?: number
}

/** The requests to a store in the order in which they were made. */
export class RequestLog {
  readonly requests: LoggedRequest[] = []
  readonly #started = performance.now()

  /** A line for each request. */
  toString(): string {
    const lines = this.requests.map(({ what, start, end = NaN }) => {
      const times = `${start.toFixed(0).padStart(6)} ms, ${(end - start).toFixed(0).padStart(4)} ms`
      return `${times}  ${what}\n`
    })
    return lines.join('')
  }

  /** The plugin with backends whose requests are logged; one ends when its answer begins. */
  logged(plugin: Plugin): Plugin {
    const backends = Object.entries(plugin.backends ?? {}).map(([scheme, contribution]) => [
      scheme,
      { ...contribution, load: async () => this.#module(await contribution.load()) },
    ])
    return { ...plugin, backends: Object.fromEntries(backends) as NonNullable<Plugin['backends']> }
  }

  #module(module: BackendModule): BackendModule {
    return {
      ...module,
      openBackend: async (...args) => this.#backend(await module.openBackend(...args)),
    }
  }

  #backend(backend: StorageBackend): StorageBackend {
    return new Proxy(backend, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        return (...args: readonly unknown[]) => this.#call(String(name), member.bind(target), args)
      },
    })
  }

  #call(
    name: string,
    method: (...args: readonly unknown[]) => unknown,
    args: readonly unknown[],
  ): unknown {
    const [key, options] = args as readonly [unknown, { range?: { start: number; end: number } }?]
    const range = options?.range ? ` ${options.range.start}-${options.range.end}` : ''
    const entry: LoggedRequest = {
      what: `${name} ${typeof key === 'string' ? key : ''}${range}`,
      start: performance.now() - this.#started,
    }
    this.requests.push(entry)
    const result = method(...args)
    const ended = (): void => void (entry.end = performance.now() - this.#started)
    if (result instanceof Promise) result.then(ended, ended)
    return result
  }
}
