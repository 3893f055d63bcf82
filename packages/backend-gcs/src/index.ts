export { type GcsBackend, gcsBackend, type GcsBackendOptions } from './gcs-backend.ts'
export { openBackend } from './open-backend.ts'
export { PERMISSIONS, type CommandPermissions } from './permissions.ts'
