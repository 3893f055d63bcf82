export { LocalBackend } from './local-backend.ts'
export { openBackend } from './open-backend.ts'
