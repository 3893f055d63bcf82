import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A process of `s3lo serve` that takes requests. Disposing of it ends it, and throws where it ends badly. */
export interface ServeProcess extends AsyncDisposable {
  readonly url: string
  /** `HOST:PORT`, as clients name it. */
  readonly host: string
  readonly child: ChildProcess
}

/** Waits until a server says where it is. Reads on, so that its log never blocks it. Throws what it said where it ends. */
export async function servingAt(child: ChildProcess): Promise<ServeProcess> {
  if (!child.stderr) throw new Error('expected a server with a standard error, got none')
  const closed = once(child, 'close')
  const said: string[] = []
  for await (const line of createInterface(child.stderr)) {
    said.push(line)
    const { url, host } = /^Serving .* at (?<url>https?:\/\/(?<host>\S+))$/.exec(line)?.groups ?? {}
    if (url === undefined || host === undefined) continue
    child.stderr.resume()
    return {
      url,
      host,
      child,
      async [Symbol.asyncDispose]() {
        child.kill('SIGTERM')
        const [status] = (await closed) as [number | null]
        if (status !== 0) throw new Error(`the server ended with ${status}`)
      },
    }
  }
  throw new Error(said.join('\n'))
}
