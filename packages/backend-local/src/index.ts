export { LocalBackend, type LocalBackendOptions } from './local-backend.ts'
export { openBackend } from './open-backend.ts'
