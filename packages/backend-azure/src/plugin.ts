import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/backend-azure',
  apiVersion: 1,
  backends: { az: { summary: 'Azure Blob Storage', load: () => import('./open-backend.ts') } },
})
