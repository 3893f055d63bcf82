/** A plugin that is a part of the command line itself. */
export interface BundledPlugin {
  load(): Promise<{ readonly default: unknown }>
  /** Its `package.json`. */
  describe(): Promise<{ readonly default: { readonly version: string } }>
}

/** The plugins that come with the command line, by the name of their package. */
export const BUNDLED_PLUGINS: Readonly<Record<string, BundledPlugin>> = {
  '@s3lo/backend-local': {
    load: () => import('@s3lo/backend-local/plugin'),
    describe: () => import('@s3lo/backend-local/package.json', { with: { type: 'json' } }),
  },
  '@s3lo/policy': {
    load: () => import('@s3lo/policy/plugin'),
    describe: () => import('@s3lo/policy/package.json', { with: { type: 'json' } }),
  },
  '@s3lo/signing': {
    load: () => import('@s3lo/signing/plugin'),
    describe: () => import('@s3lo/signing/package.json', { with: { type: 'json' } }),
  },
  '@s3lo/source-docker': {
    load: () => import('@s3lo/source-docker/plugin'),
    describe: () => import('@s3lo/source-docker/package.json', { with: { type: 'json' } }),
  },
  '@s3lo/source-registry': {
    load: () => import('@s3lo/source-registry/plugin'),
    describe: () => import('@s3lo/source-registry/package.json', { with: { type: 'json' } }),
  },
}
