import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/source-docker',
  apiVersion: 1,
  sources: {
    'docker-daemon': {
      summary: 'Images of a Docker engine: name[:tag|@digest]',
      load: () => import('./docker-daemon.ts'),
    },
    'docker-archive': {
      summary: 'What docker save writes: FILE[:name[:tag]]',
      load: () => import('./docker-archive.ts'),
    },
    oci: {
      summary: 'An OCI image layout in a directory: DIR[:tag]',
      load: () => import('./oci-layout.ts'),
    },
    'oci-archive': {
      summary: 'An OCI image layout in a tar archive: FILE[:tag]',
      load: () => import('./oci-archive.ts'),
    },
  },
})
