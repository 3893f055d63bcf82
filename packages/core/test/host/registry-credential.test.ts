import { expect, it } from 'vitest'
import {
  definePlugin,
  type Plugin,
  type RegistryCredentialOptions,
  type TransportOptions,
} from '../../src/contract/plugin.ts'
import { createHost } from '../../src/host.ts'
import { isS3loError } from '../../src/errors.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const CREDENTIAL = { username: 'token', password: 'of the cloud' }
const env = { CLOUD_IDENTITY: 'a-user' }

/** A transport that only shows what it was opened with, and a store to copy to. */
function transport(opened: TransportOptions[]): Plugin {
  return definePlugin({
    name: 'transport',
    apiVersion: 1,
    backends: {
      mem: {
        summary: 'memory',
        load: async () => ({ openBackend: async () => new MemoryBackend({ bucket: 'b' }) }),
      },
    },
    sources: {
      docker: {
        summary: 'registries',
        load: async () => ({
          openSource: async (_text, options) => {
            opened.push(options)
            throw new Error('seen')
          },
        }),
      },
    },
  })
}

function cloud(asked: [string, RegistryCredentialOptions][], loads: string[] = []): Plugin {
  return definePlugin({
    name: 'cloud',
    apiVersion: 1,
    registryCredentials: [
      {
        summary: 'registries of a cloud',
        hosts: ['*.registry.cloud.test'],
        load: async () => {
          loads.push('cloud')
          return {
            getRegistryCredential: async (host, options) => {
              asked.push([host, options])
              return CREDENTIAL
            },
          }
        },
      },
    ],
  })
}

async function optionsOf(plugins: readonly Plugin[], opened: TransportOptions[]) {
  const host = createHost({ plugins, env })
  await host.copy('docker://a.registry.cloud.test/app:v1', 'mem://b/app:v1').catch((error) => {
    if (isS3loError(error, 'PLUGIN_NOT_INSTALLED')) throw error
  })
  const [options] = opened
  if (!options?.registryCredential) throw new Error('the transport was not opened')
  return options.registryCredential
}

it('a transport gets the credentials that the plugin of a cloud has, loaded when asked', async () => {
  const opened: TransportOptions[] = []
  const asked: [string, RegistryCredentialOptions][] = []
  const loads: string[] = []
  const registryCredential = await optionsOf([transport(opened), cloud(asked, loads)], opened)
  expect(loads).toEqual([])
  const { signal } = new AbortController()
  expect(await registryCredential('eu.registry.cloud.test', { signal })).toBe(CREDENTIAL)
  expect(asked).toEqual([['eu.registry.cloud.test', { env, signal }]])
})

it('a transport gets none for a host that belongs to no cloud', async () => {
  const opened: TransportOptions[] = []
  const asked: [string, RegistryCredentialOptions][] = []
  const registryCredential = await optionsOf([transport(opened), cloud(asked)], opened)
  for (const host of ['example.com', 'registry.cloud.test', 'a.registry.cloud.test.example.com']) {
    expect(await registryCredential(host)).toBeUndefined()
  }
  expect(asked).toEqual([])
})
