import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/backend-s3',
  apiVersion: 1,
  backends: {
    s3: {
      summary: 'Amazon S3 and services that speak its protocol',
      load: () => import('./open-backend.ts'),
    },
  },
  registryCredentials: [
    {
      summary: 'Amazon Elastic Container Registry',
      hosts: [
        '*.dkr.ecr.*.amazonaws.com',
        '*.dkr.ecr.*.amazonaws.com.cn',
        '*.dkr.ecr-fips.*.amazonaws.com',
        '*.dkr-ecr.*.on.aws',
        '*.dkr-ecr-fips.*.on.aws',
        'public.ecr.aws',
      ],
      load: () => import('./registry-credential.ts'),
    },
  ],
})
