import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/source-registry',
  apiVersion: 1,
  sources: {
    docker: {
      summary: 'Images in a registry: [host/]name[:tag|@digest]',
      load: () => import('./open-registry.ts'),
    },
  },
})
