export { openBackend } from './open-backend.ts'
export { type CommandPermissions, PERMISSIONS } from './permissions.ts'
export { type S3Backend, s3Backend, type S3BackendOptions } from './s3-backend.ts'
