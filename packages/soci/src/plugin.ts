import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({ name: '@s3lo/soci', apiVersion: 1 })
