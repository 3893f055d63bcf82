export { type AzureBackend, azureBackend, type AzureBackendOptions } from './azure-backend.ts'
export { openBackend } from './open-backend.ts'
export { type CommandPermissions, PERMISSIONS } from './permissions.ts'
