import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/signing',
  apiVersion: 1,
  policyChecks: {
    signed: {
      summary: 'the key key_ref signed the image',
      load: () => import('./signed-check.ts'),
    },
  },
  signers: {
    key: { summary: 'a key file or key service', load: () => import('./signer-module.ts') },
  },
  commands: [
    {
      path: ['sign'],
      summary: 'sign an image',
      load: () => import('./commands/sign.ts'),
    },
    {
      path: ['verify'],
      summary: 'verify the signature of an image',
      errorStatus: 2,
      load: () => import('./commands/verify.ts'),
    },
    {
      path: ['generate-key-pair'],
      summary: 'make a key pair for signing',
      load: () => import('./commands/generate-key-pair.ts'),
    },
  ],
})
