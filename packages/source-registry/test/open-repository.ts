import { RegistryClient, type RegistryClientOptions, RegistryRepository } from '../src/index.ts'
import type { RegistryRepositoryOptions } from '../src/registry-repository.ts'

/** A repository of a registry on loopback, whose waits end at once. */
export function openRepository(
  host: string,
  repository: string,
  options: Partial<RegistryClientOptions> & RegistryRepositoryOptions = {},
): RegistryRepository {
  const { retry, ...others } = options
  const client = new RegistryClient({
    host,
    plainHttp: true,
    env: {},
    retry: { delay: () => Promise.resolve(), attempts: 3, ...retry },
    ...others,
  })
  return new RegistryRepository(client, repository, options)
}
