import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/serve',
  apiVersion: 1,
  commands: [
    {
      path: ['serve'],
      summary: 'serve a store as a registry',
      load: () => import('./commands/serve.ts'),
    },
  ],
})
