import type { Feature, SpecVersion } from './feature.ts'

/** The registry that is tested, and what is known of it. */
export interface RegistryUnderTest {
  /** `http://host:port` or `https://host`. */
  readonly url: string
  /** The version that it is held to; 1.1 unless said. */
  readonly version?: SpecVersion
  /** What it lacks by choice: the checks of it are skipped, with the reason. */
  readonly without?: readonly Feature[]
  /** What it has beyond its version. */
  readonly with?: readonly Feature[]
  /** Whether an optional feature that it lacks undeclared is a failure; otherwise a skip. */
  readonly strict?: boolean
  readonly credentials?: Credentials
  /** The certificate in PEM that TLS trusts, beside those of Node. */
  readonly ca?: string
  /** The first components of all repositories; `conformance` unless said. */
  readonly namespace?: string
  /** Milliseconds for one request; 60,000 unless said. */
  readonly timeoutMs?: number
  /** How many tags the long listing has; 60 unless said. */
  readonly tags?: number
}

export interface Credentials {
  readonly username: string
  readonly password: string
}
