import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { Agent, AgentOptions } from 'node:https'
import { BlockList, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Connections to https that go through the proxy of HTTPS_PROXY, except to the hosts of NO_PROXY;
 * both in either case, of `env` and not of the process. A proxy that makes no connection fails a
 * request with `ERR_PROXY_TUNNEL`. TLS is loaded by the first call.
 */
export function httpsAgent(env: Environment, options: AgentOptions): Agent {
  const https = process.getBuiltinModule('node:https')
  // The oldest Node has no such option, so its types have none either.
  const proxied = { ...options, proxyEnv: { ...env } }
  if (knowsProxies(process.versions.node)) return new https.Agent(proxied)
  const proxy = proxyOf(env)
  return proxy === undefined ? new https.Agent(options) : tunnelAgent(proxy, env, options)
}

/** Node's own agents know proxies since 22.21 and 24.5. */
export function knowsProxies(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21)
}

/** True where {@link httpsAgent} has a proxy for some hosts. */
export function hasProxy(env: Environment): boolean {
  return proxyOf(env) !== undefined
}

function proxyOf(env: Environment): URL | undefined {
  const text = env['https_proxy'] || env['HTTPS_PROXY']
  const url = text && URL.canParse(text) ? new URL(text) : undefined
  return url && /^https?:$/.test(url.protocol) ? url : undefined
}

type Connected = (error: Error | null, stream: Duplex) => void

/** The same for a Node that does not know proxies: a tunnel (RFC 9110, 9.3.6) for each connection. */
export function tunnelAgent(proxy: URL, env: Environment, options: AgentOptions): Agent {
  const https = process.getBuiltinModule('node:https')
  const agent = new https.Agent(options)
  const direct = agent.createConnection.bind(agent)
  agent.createConnection = (wanted: ConnectionOptions, done?: Connected) => {
    const { host = 'localhost', port = 443 } = wanted
    if (done === undefined || isExcluded(env, host, port)) return direct(wanted, done)
    void connectThrough(proxy, wanted, `${host.includes(':') ? `[${host}]` : host}:${port}`, done)
    return undefined
  }
  return agent
}

async function connectThrough(
  proxy: URL,
  options: ConnectionOptions,
  target: string,
  done: Connected,
): Promise<void> {
  let stream: Duplex
  try {
    const socket = await tunnelTo(proxy, target)
    stream = process.getBuiltinModule('node:tls').connect({ ...options, socket })
  } catch (error) {
    // Node looks at the stream only where there is no error.
    return done(error as Error, undefined as unknown as Duplex)
  }
  done(null, stream)
}

async function tunnelTo(proxy: URL, target: string): Promise<Socket> {
  const { hostname, port, username, password, protocol } = proxy
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  const isTls = protocol === 'https:'
  const { connect } = process.getBuiltinModule('node:tls')
  const asking = request({
    method: 'CONNECT',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port || (isTls ? 443 : 80),
    path: target,
    agent: false,
    headers: {
      host: target,
      ...(username && {
        'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}`,
      }),
    },
    ...(isTls && {
      createConnection: (own: object) =>
        connect({ ...(own as ConnectionOptions), servername: isIP(hostname) ? '' : hostname }),
    }),
  })
  asking.end()
  const [answer, socket] = (await once(asking, 'connect')) as [IncomingMessage, Socket]
  if (answer.statusCode === 200) return socket
  socket.destroy()
  const error = new Error(`the proxy answers HTTP ${answer.statusCode} for ${target}`)
  throw Object.assign(error, { code: 'ERR_PROXY_TUNNEL' })
}

/** As Node reads NO_PROXY: `*`, hosts and their subdomains, a port, addresses and ranges of them. */
function isExcluded(env: Environment, host: string, port: number): boolean {
  const list = (env['no_proxy'] || env['NO_PROXY'] || '').toLowerCase().split(/[\s,]+/)
  return list.some((entry) => entry !== '' && matches(entry, host.toLowerCase(), port))
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true
  const [, first, last] = /^([\d.]+)-([\d.]+)$/.exec(entry) ?? []
  if (first && last) return isIP(host) === 4 && inRange(first, last, host)
  const [, name = entry, wantedPort] = /^([^:]+|\[.+\]):(\d+)$/.exec(entry) ?? []
  if (wantedPort !== undefined && Number(wantedPort) !== port) return false
  const bare = name.replace(/^\[|\]$/g, '').replace(/^\*?\./, '')
  return host === bare || host.endsWith(`.${bare}`)
}

function inRange(first: string, last: string, host: string): boolean {
  if (isIP(first) !== 4 || isIP(last) !== 4) return false
  const range = new BlockList()
  range.addRange(first, last)
  return range.check(host)
}
