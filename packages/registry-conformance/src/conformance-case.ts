import type { Feature } from './feature.ts'
import type { RegistryClient } from './http/client.ts'
import type { Credentials } from './registry-under-test.ts'

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
