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
    ['Only what a key signed', 's3lo serve s3://my-bucket/ --read-only --verify-key cosign.pub'],
  ],
  parameters: {
    store: argument('store'),
    listen: option('--listen', 'listen on `ADDRESS:PORT` (127.0.0.1:5732)'),
    config: option('--config', 'read users, tokens and access rules from the YAML in `FILE`'),
    tlsCert: option('--tls-cert', 'the certificates of the server in `FILE` (PEM)'),
    tlsKey: option('--tls-key', 'the key of the certificate in `FILE` (PEM)'),
    externalUrl: option('--external-url', 'clients see the server as `URL`, behind a proxy'),
    allowHost: repeatedOption('--allow-host', 'answer to `NAME` as well, without users'),
    readOnly: flag('--read-only', 'refuse everything that would change the store'),
    verifyKey: repeatedOption(
      '--verify-key',
      'answer clients that may not push only with what `KEY` signed: a file, or a key of a key service',
    ),
    allowCosign: flag(
      '--allow-cosign',
      "with --verify-key: accept signatures in cosign's formats as well",
    ),
    allowSchema1: flag(
      '--allow-schema-1',
      'with --verify-key: accept signature records of schema 1 as well',
    ),
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
      'send the blobs to clients in `NETWORK` from here: 10.0.0.0/8 for example',
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
