export { openBackend } from './open-backend.ts'
export { type CommandPermissions, PERMISSIONS } from './permissions.ts'
export { S3Backend, type S3BackendOptions } from './s3-backend.ts'
