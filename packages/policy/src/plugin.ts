import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/policy',
  apiVersion: 1,
  policyChecks: {
    age: {
      summary: 'an image was pushed no longer ago than max_days',
      load: () => import('./checks/age.ts'),
    },
    size: {
      summary: 'an image has no more than max_bytes',
      load: () => import('./checks/size.ts'),
    },
  },
  commands: [
    {
      path: ['config', 'validate'],
      summary: 'check an image against the policies of its bucket',
      load: () => import('./commands/config-validate.ts'),
    },
  ],
})
