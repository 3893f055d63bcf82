import {
  assertCompatible,
  type Contribution,
  type Plugin,
  type RegistryCredentialContribution,
  type RegistryCredentialModule,
  registryCredentialsFor,
  type SourceModule,
} from './contract/plugin.ts'
import type { LayerReaderModule } from './contract/layer-reader.ts'
import type { PolicyCheckModule } from './contract/policy-check.ts'
import type { ScannerModule } from './contract/scanner.ts'
import type { SignerModule } from './contract/signer.ts'
import type { BackendModule } from './contract/storage-backend.ts'
import { S3loError, toS3loError } from './errors.ts'

/** What no plugin at hand offers. */
export interface PluginNeed {
  readonly kind:
    | 'backend'
    | 'source'
    | 'scanner'
    | 'policy-check'
    | 'layer-reader'
    | 'signer'
    | 'registry-credential'
  /** The scheme of a backend, the transport of a source, the host of a registry, else the name itself. */
  readonly name: string
}

/** Finds a plugin for a need, or throws `PLUGIN_NOT_INSTALLED` with the command that installs it. */
export type FindPlugin = (need: PluginNeed) => Promise<Plugin | undefined>

/** What plugins offer, loaded when it is first used. */
export class PluginRegistry {
  readonly #plugins: Plugin[] = []
  readonly #find: FindPlugin

  constructor(plugins: readonly Plugin[], find: FindPlugin = () => Promise.resolve(undefined)) {
    this.#find = find
    for (const plugin of plugins) this.#add(plugin)
  }

  /** The backend of a scheme. Throws `PLUGIN_NOT_INSTALLED`, or the cause when it failed to load. */
  backend(scheme: string): Promise<BackendModule> {
    return this.#load({ kind: 'backend', name: scheme }, (plugin) => plugin.backends?.[scheme])
  }

  /** The sources and targets of a transport. Throws as {@link backend} does. */
  source(transport: string): Promise<SourceModule> {
    return this.#load({ kind: 'source', name: transport }, (plugin) => plugin.sources?.[transport])
  }

  /** The scanner of a name. Throws as {@link backend} does. */
  scanner(name: string): Promise<ScannerModule> {
    return this.#load({ kind: 'scanner', name }, (plugin) => plugin.scanners?.[name])
  }

  /** The check of a policy. Throws as {@link backend} does. */
  policyCheck(name: string): Promise<PolicyCheckModule> {
    return this.#load({ kind: 'policy-check', name }, (plugin) => plugin.policyChecks?.[name])
  }

  /** What reads single files out of layers. Throws as {@link backend} does. */
  layerReader(name: string): Promise<LayerReaderModule> {
    return this.#load({ kind: 'layer-reader', name }, (plugin) => plugin.layerReaders?.[name])
  }

  /** What signs and verifies images. Throws as {@link backend} does. */
  signer(name: string): Promise<SignerModule> {
    return this.#load({ kind: 'signer', name }, (plugin) => plugin.signers?.[name])
  }

  /**
   * The plugin that has credentials for a registry host; `undefined` when there is none, which is
   * no failure: most hosts belong to no cloud.
   */
  async registryCredential(host: string): Promise<RegistryCredentialModule | undefined> {
    const pick = (plugin: Plugin): RegistryCredentialContribution | undefined =>
      registryCredentialsFor(plugin, host)
    const need: PluginNeed = { kind: 'registry-credential', name: host }
    if (!this.#plugins.some(pick)) {
      const found = await this.#find(need)
      if (!found || !pick(found)) return undefined
      this.#add(found)
    }
    return this.#load(need, pick)
  }

  /** The transports that plugins at hand offer. */
  get transports(): readonly string[] {
    return this.#plugins.flatMap(({ sources }) => Object.keys(sources ?? {}))
  }

  async #load<T>(
    need: PluginNeed,
    pick: (plugin: Plugin) => Contribution<T> | undefined,
  ): Promise<T> {
    let owner = this.#plugins.find(pick)
    if (!owner) {
      owner = await this.#find(need)
      if (!owner || !pick(owner)) throw notInstalled(need)
      this.#add(owner)
    }
    try {
      const contribution = pick(owner)
      if (!contribution) throw notInstalled(need)
      return await contribution.load()
    } catch (error) {
      throw toS3loError(error, 'PLUGIN_INCOMPATIBLE', `plugin ${owner.name} failed to load`)
    }
  }

  #add(plugin: Plugin): void {
    assertCompatible(plugin)
    this.#plugins.push(plugin)
  }
}

function notInstalled({ kind, name }: PluginNeed): S3loError {
  const whats = {
    backend: `backend for ${name}://`,
    source: `transport ${name}:`,
    scanner: `scanner ${name}`,
    'policy-check': `plugin with the policy check ${name}`,
    'layer-reader': `plugin that reads layers with ${name}`,
    signer: `plugin that signs with ${name}`,
    'registry-credential': `plugin with credentials for ${name}`,
  }
  const what = whats[kind]
  return new S3loError('PLUGIN_NOT_INSTALLED', `no ${what} is installed`, {
    hint: 'give createHost a plugin that brings it',
  })
}
