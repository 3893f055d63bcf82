import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/soci',
  apiVersion: 1,
  layerReaders: {
    soci: { summary: 'files by zTOC', load: () => import('./layer-reader.ts') },
  },
  commands: [
    {
      path: ['soci', 'create'],
      summary: 'attach a SOCI index to an image',
      load: () => import('./commands/create.ts'),
    },
    {
      path: ['soci', 'convert'],
      summary: 'convert an image for lazy loading',
      load: () => import('./commands/convert.ts'),
    },
    {
      path: ['soci', 'list'],
      summary: 'list the SOCI indexes of a store',
      load: () => import('./commands/list.ts'),
    },
    {
      path: ['soci', 'info'],
      summary: 'show a SOCI index',
      load: () => import('./commands/info.ts'),
    },
    {
      path: ['soci', 'remove'],
      summary: 'remove SOCI indexes',
      load: () => import('./commands/remove.ts'),
    },
    {
      path: ['soci', 'rebuild'],
      summary: 'record the SOCI indexes that are in a store',
      load: () => import('./commands/rebuild.ts'),
    },
    {
      path: ['soci', 'ztoc', 'list'],
      summary: 'list the zTOCs of a store',
      load: () => import('./commands/ztoc-list.ts'),
    },
    {
      path: ['soci', 'ztoc', 'info'],
      summary: 'show the files of a zTOC',
      load: () => import('./commands/ztoc-info.ts'),
    },
    {
      path: ['soci', 'ztoc', 'get-file'],
      summary: 'print a file of a layer by its zTOC',
      load: () => import('./commands/ztoc-get-file.ts'),
    },
  ],
})
