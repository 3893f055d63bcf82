import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/** What every request is answered with. */
export interface ScriptedAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** A service on loopback that has one answer for everybody. */
export class ScriptedServer {
  readonly url: string
  readonly #server: Server

  private constructor(server: Server, scheme: string) {
    const { port } = server.address() as AddressInfo
    this.url = `${scheme}://127.0.0.1:${port}`
    this.#server = server
  }

  /** Answers in the clear. */
  static async start({ status, headers = {}, body = '' }: ScriptedAnswer): Promise<ScriptedServer> {
    const answer: RequestListener = (request, response) => {
      request.resume()
      response.writeHead(status, { ...headers })
      response.end(request.method === 'HEAD' ? undefined : body)
    }
    return ScriptedServer.#listen(createServer(answer), 'http')
  }

  /** Speaks TLS with a certificate that no authority has signed. */
  static startUntrusted(): Promise<ScriptedServer> {
    return ScriptedServer.#listen(createTlsServer(SELF_SIGNED), 'https')
  }

  static async #listen(server: Server, scheme: string): Promise<ScriptedServer> {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new ScriptedServer(server, scheme)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** For 127.0.0.1; its key protects nothing. */
const SELF_SIGNED = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPmEQ2TK0aZpwVOWg
Z9LO4BorcPpQ2m8CK4lHwDF9J+2hRANCAAS5UeeSutNafqg8f41/zLdG8pusr14w
b/o68iJGcgd3T4zyAbh1MTuyPi0KMigGxouYqN/wr59Gqlvmilr8k8X2
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBZzCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLlR55K601p+qDx/
jX/Mt0bym6yvXjBv+jryIkZyB3dPjPIBuHUxO7I+LQoyKAbGi5io3/Cvn0aqW+aK
WvyTxfajTjBMMA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYcEfwAAAYIJbG9j
YWxob3N0MB0GA1UdDgQWBBSG9uN9PCGDrX/ba903nihiOIEcRTAKBggqhkjOPQQD
AgNIADBFAiEAuBtYUCBfrOk5/tJIgKLEHPs+msinP5mKdf78qtivr8oCIHCDIqCm
2kV366Po4JsOeGwwb75+7XlFg0yI+HaaNM0A
-----END CERTIFICATE-----
`,
}
