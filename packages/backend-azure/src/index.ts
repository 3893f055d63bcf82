export { AzureBackend, type AzureBackendOptions } from './azure-backend.ts'
export { openBackend } from './open-backend.ts'
