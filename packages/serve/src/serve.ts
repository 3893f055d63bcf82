import { type CallOptions, type Host, isS3loError } from '@s3lo/core'
import type { Writable } from 'node:stream'
import { createLog, type Log } from './audit.ts'
import { makeSigningKey, type SigningKey } from './auth/signing-key.ts'
import { healthPages } from './health.ts'
import { assertJudges } from './judgement/assert-judges.ts'
import { formatAuthority } from './listen-address.ts'
import {
  addUpMetrics,
  createMetrics,
  formatMetrics,
  METRICS_TYPE,
  type Metrics,
  type MetricsSnapshot,
} from './metrics.ts'
import { type OpenRedirects, openRedirects } from './open-redirects.ts'
import type { Page } from './options.ts'
import { createRegistry } from './registry.ts'
import { clientAddress } from './request/client.ts'
import { createRequestMetrics } from './request-metrics.ts'
import { createSecurity, readSecurity } from './security.ts'
import type { ServePlan, ServeResult, ServeSettings } from './serve-plan.ts'
import { type RunningServer, startServer } from './server.ts'
import { measureStore } from './store-metrics.ts'
import { listNothingUnmade } from './unmade-store.ts'
import { watchFiles } from './watch-files.ts'

/** Takes the lines of the log. */
type LogSink = Pick<Writable, 'write'> & Partial<Pick<Writable, 'writableLength'>>

/** What waits for the reader of the log at most (bytes). */
const MAX_WAITING_BYTES = 4 * 1024 * 1024

/** A server that takes requests. */
export interface Serving extends ServeResult {
  /** What to tell people. */
  readonly lines: readonly string[]
  /** The figures of this process. */
  readonly measure: () => MetricsSnapshot
  /** Reads the configuration, the users and the key again. A failure is logged and changes nothing. */
  readonly reload: () => Promise<void>
  /** Lets running requests end, and closes the store. */
  readonly stop: () => Promise<void>
}

export interface ServeOptions extends CallOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Takes the lines of the log. */
  readonly log?: LogSink | undefined
  /** See `RegistryOptions`. */
  readonly passed?: ((bytes: number) => void) | undefined
  /** Signs tokens where the configuration names no key. Default: one that is made. */
  readonly signingKey?: SigningKey | undefined
  /** Gives the figures of all workers, this one among them. Default: this process is alone. */
  readonly measureAll?: (() => Promise<readonly MetricsSnapshot[]>) | undefined
}

/** What a server needs of a host. */
export type ServeHost = Pick<Host, 'openStore' | 'validationTools'>

/** Opens the store and serves it. Throws `USAGE` before anything is opened. */
export async function startServing(
  host: ServeHost,
  reference: string,
  settings: ServeSettings,
  options: ServeOptions,
): Promise<Serving> {
  const { env = {}, log: sink, signal, signingKey = makeSigningKey() } = options
  const files = await readSecurity(settings, env, signingKey)
  const { plan } = files
  // What is read later has to be safe where the server listens already.
  const later = { ...settings, listen: formatAuthority(plan.address) }
  const metrics = createMetrics()
  const requests = createRequestMetrics(metrics)
  const log = createLog({
    write: (line) => sink === undefined || writeLine(sink, line),
    isAccessLogged: plan.accessLog,
  })
  const security = createSecurity(files, () => readSecurity(later, env, signingKey), {
    onLogIn(logIn) {
      requests.onLogIn(logIn)
      log.onLogIn(logIn)
    },
  })
  const store = await host.openStore(reference, { signal })
  let isEnding = false
  let server: RunningServer | undefined
  let redirects: OpenRedirects | undefined
  const close = async (): Promise<void> => {
    await redirects?.close()
    await store.close()
  }
  try {
    const tools = host.validationTools()
    const { verifyRules } = plan
    await assertJudges(store, tools, plan, { signal })
    redirects = await openRedirects(host, reference, store, plan, { signal })
    listNothingUnmade(store.backend)
    measureStore(store.backend, metrics)
    metrics.gauge(
      's3lo_connections',
      'Connections that are open.',
      () => server?.connections() ?? 0,
    )
    const registry = createRegistry(store, {
      readOnly: plan.readOnly,
      passed: options.passed,
      policyTools: tools,
      verification: verifyRules.length > 0 ? { rules: verifyRules, tools } : undefined,
      maxBlobBytes: plan.maxBlobBytes,
      redirect: redirects.options,
      authorize: security.control.authorize,
      guards: [security.guard],
      pages: {
        ...healthPages(store.backend, () => isEnding),
        '/metrics': metricsPage(metrics, options.measureAll),
        '/token': security.control.tokenPage,
      },
      addressOf: (request) => clientAddress(request, plan),
      observe(exchange) {
        requests.observe(exchange)
        log.observe(exchange)
      },
    })
    const running = await startServer(registry.handle, plan)
    server = running
    const reload = () => reloadSecurity(security.reload, log)
    const unwatch = watchFiles(files.watched, () => void reload())
    const name = `${store.name}/`
    return {
      store: name,
      url: running.url,
      measure: () => metrics.snapshot(),
      lines: bannerOf(name, running.url, plan),
      reload,
      stop: async () => {
        isEnding = true
        unwatch()
        await running.drain(plan.drain)
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** False where the sink is so far behind that more would only fill the memory. */
function writeLine(sink: LogSink, line: string): boolean {
  if ((sink.writableLength ?? 0) > MAX_WAITING_BYTES) return false
  sink.write(line)
  return true
}

async function reloadSecurity(reload: () => Promise<unknown>, log: Log): Promise<void> {
  try {
    await reload()
    log.report('reload')
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const hint = isS3loError(error) ? error.hint : undefined
    log.report('reload-failure', { error: message, hint })
  }
}

function metricsPage(metrics: Metrics, measureAll: ServeOptions['measureAll']): Page {
  return async () => {
    const all = measureAll ? await measureAll() : [metrics.snapshot()]
    return {
      status: 200,
      headers: { 'content-type': METRICS_TYPE },
      body: formatMetrics(addUpMetrics(all)),
    }
  }
}

function bannerOf(store: string, url: string, plan: ServePlan): readonly string[] {
  const { redirect, readOnly, isFar, canLogIn, tls, externalUrl } = plan
  const isEncrypted = tls !== undefined || externalUrl?.startsWith('https:') === true
  const names = externalUrl === undefined ? plan.allowHosts : [externalUrl, ...plan.allowHosts]
  return [
    `Serving ${store} at ${url}`,
    redirect.mode === 'never'
      ? 'Blobs: sent by this server'
      : `Blobs: by redirects to the store where clients can reach it (${redirect.endpoint ?? redirect.mode}), else sent by this server`,
    ...(readOnly ? ['Read-only: pushes and deletes are refused'] : []),
    ...plan.verifyRules.map(({ keyRef }) => `Images: only those that ${keyRef} signed`),
    ...(isFar && !canLogIn
      ? [
          'Warning: anyone who reaches this address can pull every image that the rules let anonymous clients pull',
        ]
      : []),
    ...(isFar && !canLogIn && names.length === 0
      ? [
          'Warning: requests are answered by the names of this machine only: --allow-host NAME adds one',
        ]
      : []),
    ...(isFar && !isEncrypted
      ? [
          canLogIn
            ? 'Warning: without TLS, others on the way can read passwords, and change what is sent'
            : 'Warning: without TLS, others on the way can read and change what is sent',
        ]
      : []),
    'Press Ctrl+C to stop.',
  ]
}
