import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/backend-local',
  apiVersion: 1,
  backends: { local: { summary: 'A plain directory', load: () => import('./open-backend.ts') } },
})
