import { argument, defineCommand, flag, option } from '@s3lo/core/plugin'
import { drainTime, startServing } from '../serve.ts'

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
      'For every machine that can reach this one',
      's3lo serve s3://my-bucket/ --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --allow-anonymous pull',
    ],
  ],
  parameters: {
    store: argument('store'),
    listen: option('--listen', 'listen on `ADDRESS:PORT` (127.0.0.1:5732)'),
    tlsCert: option('--tls-cert', 'the certificates of the server in `FILE` (PEM)'),
    tlsKey: option('--tls-key', 'the key of the certificate in `FILE` (PEM)'),
    readOnly: flag('--read-only', 'refuse everything that would change the store'),
    redirect: option(
      '--redirect',
      'send clients to the store for blobs `WHEN`: auto, always or never (auto)',
    ),
    presignTtl: option('--presign-ttl', 'such a redirect is good for `DURATION` (1h)'),
    allowAnonymous: option(
      '--allow-anonymous',
      'let clients of other machines do `WHAT` without a name: pull',
    ),
    drain: option('--drain', 'give running requests `DURATION` once the server is to end (30s)'),
  },
  stopsWithin: (args) => drainTime(args) + CLOSING,
  async run({ args, host, options: { signal }, status }) {
    const { store, url, lines, stop } = await startServing(host, args.store, args, { signal })
    for (const line of lines) status(line)
    await new Promise<void>((resolve) => {
      if (signal?.aborted) resolve()
      else signal?.addEventListener('abort', () => resolve(), { once: true })
    })
    await stop()
    return { result: { store, url }, render: () => '' }
  },
})
