import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/backend-gcs',
  apiVersion: 1,
  backends: { gs: { summary: 'Google Cloud Storage', load: () => import('./open-backend.ts') } },
  registryCredentials: [
    {
      summary: 'Google Artifact Registry and Container Registry',
      hosts: ['*.pkg.dev', 'gcr.io', '*.gcr.io'],
      load: () => import('./registry-credential.ts'),
    },
  ],
})
