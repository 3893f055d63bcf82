import { argument, defineCommand, flag } from '@s3lo/core/plugin'
import { renderDiagnosis } from '@s3lo/views/diagnosis'

export default defineCommand({
  examples: [
    ['Check that every image of a store is whole', 's3lo doctor s3://my-bucket/'],
    ['Read and hash all content again', 's3lo doctor local://./store/ --deep'],
    ['Check the images below a name, for a program', 's3lo doctor gs://my-bucket/team/ -o json'],
  ],
  parameters: {
    store: argument('store'),
    deep: flag('--deep', 'read all content and compare it with its digests'),
  },
  activity: 'Checking',
  async run({ args: { store, deep }, host, options: { signal, onProgress }, status }) {
    status(`Checking ${store}`)
    const result = await host.doctor(store, { signal, onProgress, deep })
    return { result, render: () => renderDiagnosis(result), exitCode: result.ok ? 0 : 1 }
  },
})
