import type { Feature, SpecVersion } from './feature.ts'
import type { RegistryClient } from './http/client.ts'

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

/** The outcome of one check. */
export interface CheckResult {
  /** `suite/case`. */
  readonly caseName: string
  /** What was checked; empty where the whole case is skipped. */
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  /** Why it is skipped, or what was expected and what came. */
  readonly reason?: string
  /** The last requests before a failure, and their answers. */
  readonly requests?: readonly string[]
}

/** What a case works with. */
export interface CaseContext {
  readonly client: RegistryClient
  /** A repository that no other case uses. */
  readonly repository: string
  /** Another one. */
  readonly otherRepository: string
  readonly credentials: Credentials | undefined
  /** How many tags the long listing has. */
  readonly tags: number
  /** Whether the registry is declared to have it. */
  readonly has: (feature: Feature) => boolean
  /** One thing that must hold; the case continues where it does not. */
  readonly check: (
    name: string,
    body: () => Promise<void> | void,
    needs?: readonly Feature[],
  ) => Promise<void>
  /** One thing without which the rest of the case has no meaning: a failure ends the case. */
  readonly step: <T>(name: string, body: () => Promise<T>) => Promise<T>
}

/** One part of the protocol, and its proof. */
export interface ConformanceCase {
  readonly name: string
  /** The part of the specification, or `beyond` where only practice asks for it. */
  readonly section: string
  readonly needs?: readonly (Feature | 'credentials')[]
  readonly run: (context: CaseContext) => Promise<void>
}

/** The cases of one area. */
export interface ConformanceSuite {
  readonly name: string
  readonly cases: readonly ConformanceCase[]
}

/** Thrown inside of a check: the registry lacks the feature, by what it answers. */
export class Lacking extends Error {
  readonly feature: Feature

  constructor(feature: Feature, observed: string) {
    super(observed)
    this.feature = feature
  }
}
