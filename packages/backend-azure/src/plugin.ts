import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/backend-azure',
  apiVersion: 1,
  backends: { az: { summary: 'Azure Blob Storage', load: () => import('./open-backend.ts') } },
  registryCredentials: [
    {
      summary: 'Azure Container Registry',
      hosts: ['*.azurecr.io', '*.azurecr.cn', '*.azurecr.us'],
      load: () => import('./registry-credential.ts'),
    },
  ],
})
