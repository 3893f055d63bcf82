import { argument, defineCommand, flag } from '@s3lo/core/plugin'
import { renderDiagnosis } from '@s3lo/views/diagnosis'

export default defineCommand({
  examples: [
    ['Check that every image of a store is whole', 's3lo doctor s3://my-bucket/'],
    ['Read and hash all content again', 's3lo doctor local://./store/ --deep'],
    ['Mend the lists of referrers', 's3lo doctor s3://my-bucket/ --repair'],
  ],
  parameters: {
    store: argument('store'),
    deep: flag('--deep', 'read all content and compare it with its digests'),
    repair: flag('--repair', 'make the lists of referrers what the referrers say'),
  },
  activity: 'Checking',
  async run({ args: { store, deep, repair }, host, options: { signal, onProgress }, status }) {
    status(`Checking ${store}`)
    const result = await host.doctor(store, { signal, onProgress, deep, repair })
    return { result, render: () => renderDiagnosis(result), exitCode: result.ok ? 0 : 1 }
  },
})
