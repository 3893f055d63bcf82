export { openBackend } from './open-backend.ts'
export { S3Backend, type S3BackendOptions } from './s3-backend.ts'
