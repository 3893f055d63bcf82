/** Images in a registry: `[host/]name[:tag|@digest]`. */
export * as registry from './open-registry.ts'
export type { HttpAnswer, HttpFetch, HttpHeaders, HttpInit } from './http.ts'
export { type Authorizer, RegistryClient, type RegistryClientOptions } from './registry-client.ts'
export { parseRegistryName, type RegistryName } from './registry-name.ts'
export { RegistryRepository, type RegistryRepositoryOptions } from './registry-repository.ts'
