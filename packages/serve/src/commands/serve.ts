import { argument, defineCommand, flag, option } from '@s3lo/core/plugin'
import { serve } from '../serve.ts'

/** `s3lo serve`. */
export default defineCommand({
  examples: [
    ['For this machine', 's3lo serve s3://my-bucket/'],
    [
      'Only reading, on another port',
      's3lo serve s3://my-bucket/ --read-only --listen 127.0.0.1:5000',
    ],
  ],
  parameters: {
    store: argument('store'),
    listen: option('--listen', 'listen on `ADDRESS:PORT` (127.0.0.1:5732)'),
    readOnly: flag('--read-only', 'refuse everything that would change the store'),
  },
  async run({ args: { store: reference, listen, readOnly }, host, options, status }) {
    const result = await serve(host, reference, { ...options, listen, readOnly, status })
    return { result, render: () => '' }
  },
})
