import { S3loError } from '../errors.ts'
import type { CallOptions } from './call-options.ts'
import type { ImageSource, StreamingSource } from './image-source.ts'
import type { ImageTarget, StreamingTarget } from './image-target.ts'
import type { Reference } from '../oci/reference.ts'
import type { LayerReaderModule } from './layer-reader.ts'
import type { PolicyCheckModule } from './policy-check.ts'
import type { ProgressOptions } from './progress.ts'
import type { LoginResult, LogoutResult } from './registry-login.ts'
import type { ScannerModule } from './scanner.ts'
import type { SignerModule } from './signer.ts'
import type { BackendModule } from './storage-backend.ts'

/**
 * The contract between this core and plugins. Raised only when an existing plugin could break;
 * a plugin writes the number it was made for as a literal.
 */
export const PLUGIN_API_VERSION = 1

/** Something a plugin offers: described without loading anything, loaded when it is used. */
export interface Contribution<T> {
  readonly summary: string
  load(): Promise<T>
}

/** What a transport (`oci:`, `docker-daemon:`) is opened with; `onProgress` is for notices. */
export interface TransportOptions extends CallOptions, ProgressOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the plugin of a cloud has for a registry host; `undefined` when no plugin knows the host. */
  readonly registryCredential?:
    | ((host: string, options?: CallOptions) => Promise<RegistryCredential | undefined>)
    | undefined
  readonly tlsCa?: string | undefined
  readonly plainHttp?: boolean | undefined
}

export interface OpenedSource {
  readonly source: ImageSource | StreamingSource
  readonly reference: Reference
}

export interface OpenedTarget {
  readonly target: ImageTarget | StreamingTarget
  readonly reference: Reference
}

/** What a source contribution's `load()` gives. `text` is what follows the transport's colon. */
export interface SourceModule {
  openSource?(text: string, options: TransportOptions): Promise<OpenedSource>
  openTarget?(text: string, options: TransportOptions): Promise<OpenedTarget>
  /** Keeps a credential for a registry that has accepted it. Throws `UNAUTHORIZED` for another. */
  login?(
    registry: string,
    credential: RegistryCredential,
    options: TransportOptions,
  ): Promise<LoginResult>
  /** Forgets what {@link login} keeps. */
  logout?(registry: string, options: TransportOptions): Promise<LogoutResult>
}

/** A command that a plugin brings; `load()` gives a `CommandDefinition` as its default export. */
export interface CommandContribution extends Contribution<{ readonly default: unknown }> {
  /** The words that select it: `['sign']`, `['soci', 'create']`. */
  readonly path: readonly string[]
  /**
   * The exit status of everything that is an error, a wrong command line too, in place of the
   * status of its code: for commands that promise scripts one number. An interruption keeps its own.
   */
  readonly errorStatus?: number
}

/** What a registry accepts for a while. */
export interface RegistryCredential {
  readonly username: string
  readonly password: string
  readonly expiresAt?: Date
}

/** Where a cloud's registry credentials are asked for. */
export interface RegistryCredentialOptions extends CallOptions {
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What a registry credential contribution's `load()` gives. */
export interface RegistryCredentialModule {
  /** From the cloud's own credentials; `undefined` when there are none on this machine. */
  getRegistryCredential(
    host: string,
    options: RegistryCredentialOptions,
  ): Promise<RegistryCredential | undefined>
}

/** Credentials for the registries of one cloud. */
export interface RegistryCredentialContribution extends Contribution<RegistryCredentialModule> {
  /** The hosts it knows; `*` matches one or more labels: `*.pkg.dev`. */
  readonly hosts: readonly string[]
}

/** A plugin is data: reading what it offers loads no SDK. */
export interface Plugin {
  /** Its npm package name. */
  readonly name: string
  /** A literal in the plugin's source, so that it tells what the plugin was made for. */
  readonly apiVersion: number
  /** By scheme, without `://`. */
  readonly backends?: Readonly<Record<string, Contribution<BackendModule>>>
  /** By transport, without `:`. */
  readonly sources?: Readonly<Record<string, Contribution<SourceModule>>>
  /** By name, as `scanner` of a scan says it. */
  readonly scanners?: Readonly<Record<string, Contribution<ScannerModule>>>
  /** By what `check:` says in a policy. */
  readonly policyChecks?: Readonly<Record<string, Contribution<PolicyCheckModule>>>
  /** By name: what reads single files out of layers. */
  readonly layerReaders?: Readonly<Record<string, Contribution<LayerReaderModule>>>
  /** By name: what signs and verifies images. */
  readonly signers?: Readonly<Record<string, Contribution<SignerModule>>>
  readonly registryCredentials?: readonly RegistryCredentialContribution[]
  readonly commands?: readonly CommandContribution[]
}

/** Declares a plugin: the default export of a package's `./plugin`. */
export function definePlugin<const P extends Plugin>(plugin: P): P {
  return plugin
}

/** What the plugin has for a registry host; `undefined` when it does not know the host. */
export function registryCredentialsFor(
  { registryCredentials = [] }: Plugin,
  host: string,
): RegistryCredentialContribution | undefined {
  return registryCredentials.find(({ hosts }) => hosts.some((glob) => matchesHost(glob, host)))
}

function matchesHost(glob: string, host: string): boolean {
  const labels = glob.split('*').map((part) => part.replaceAll(/[^a-z0-9-]/gi, '\\$&'))
  return new RegExp(`^${labels.join('[a-z0-9-]+(?:\\.[a-z0-9-]+)*')}$`, 'i').test(host)
}

/** Throws `PLUGIN_INCOMPATIBLE` unless the plugin was made for this core's plugin API. */
export function assertCompatible(plugin: Plugin): void {
  if (plugin.apiVersion === PLUGIN_API_VERSION) return
  const older = plugin.apiVersion < PLUGIN_API_VERSION
  throw new S3loError(
    'PLUGIN_INCOMPATIBLE',
    `plugin ${plugin.name} was made for plugin API ${plugin.apiVersion}, this s3lo has ${PLUGIN_API_VERSION}`,
    { hint: older ? `upgrade ${plugin.name}` : 'upgrade s3lo' },
  )
}
