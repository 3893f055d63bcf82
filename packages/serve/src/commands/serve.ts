import { argument, defineCommand, flag, option, repeatedOption } from '@s3lo/core/plugin'
import { runServe } from '../run-serve.ts'
import { drainTime } from '../serve-plan.ts'

/** Connections are closed hard after the drain; then the store is closed (milliseconds). */
const CLOSING = 5000

/** `s3lo serve`. */
export default defineCommand({
  examples: [
    ['For this machine', 's3lo serve s3://my-bucket/'],
    [
      'Only reading, on another port',
      's3lo serve s3://my-bucket/ --read-only --listen 127.0.0.1:5000',
    ],
    [
      'For other machines, by users and rules',
      's3lo serve s3://my-bucket/ --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --config serve.yaml',
    ],
  ],
  parameters: {
    store: argument('store'),
    listen: option('--listen', 'listen on `ADDRESS:PORT` (127.0.0.1:5732)'),
    config: option('--config', 'read users, tokens and access rules from `FILE` (serve.yaml)'),
    tlsCert: option('--tls-cert', 'the certificates of the server in `FILE` (PEM)'),
    tlsKey: option('--tls-key', 'the key of the certificate in `FILE` (PEM)'),
    externalUrl: option('--external-url', 'clients see the server as `URL`, behind a proxy'),
    allowHost: repeatedOption('--allow-host', 'answer to `NAME` as well, without users'),
    readOnly: flag('--read-only', 'refuse everything that would change the store'),
    redirect: option(
      '--redirect',
      'send clients to the store for blobs `WHEN`: auto, always or never (auto)',
    ),
    redirectEndpoint: option(
      '--redirect-endpoint',
      'clients reach the store at `URL`: send them there',
    ),
    noRedirect: repeatedOption(
      '--no-redirect',
      'send the blobs to clients in `NETWORK` from here (10.0.0.0/8)',
    ),
    presignTtl: option('--presign-ttl', 'such a redirect is good for `DURATION` (1h)'),
    allowAnonymous: option(
      '--allow-anonymous',
      'let clients of other machines do `WHAT` without a name: pull',
    ),
    accessLog: flag('--access-log', 'log every request, not only changes and failures'),
    maxConnections: option('--max-connections', 'keep at most `N` connections open (4096)'),
    maxBlob: option('--max-blob', 'refuse blobs of more than `SIZE` (1TiB)'),
    workers: option('--workers', 'serve by `N` processes (1)'),
    drain: option('--drain', 'give running requests `DURATION` once the server is to end (30s)'),
  },
  stopsWithin: (args) => drainTime(args) + CLOSING,
  async run(work) {
    return { result: await runServe(work), render: () => '' }
  },
})
