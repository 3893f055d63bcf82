import { randomBytes } from 'node:crypto'
import {
  type CaseContext,
  type CheckResult,
  type ConformanceCase,
  Lacking,
} from './conformance-case.ts'
import { type Declaration, type Feature, reasonAgainst } from './feature.ts'
import { RegistryClient } from './http/client.ts'
import { faultOf } from './invariants.ts'
import type { RegistryUnderTest } from './registry-under-test.ts'
import { suites } from './suites.ts'

/** The lines about requests that a failure keeps. */
const KEPT_REQUESTS = 6
const DEFAULT_TAGS = 60

/** Ends a case whose step failed or was not supported; the outcome is recorded already. */
class CaseOver extends Error {}

/** Runs cases against one registry; `close` when done. */
export class ConformanceRun {
  readonly #registry: RegistryUnderTest
  readonly #declared: Declaration
  readonly #client: RegistryClient
  readonly #namespace: string
  #cases = 0

  constructor(registry: RegistryUnderTest) {
    this.#registry = registry
    this.#client = new RegistryClient(registry)
    this.#declared = {
      version: registry.version ?? '1.1',
      with: new Set(registry.with),
      without: new Set(registry.without),
    }
    this.#namespace = `${registry.namespace ?? 'conformance'}/${randomBytes(4).toString('hex')}`
  }

  /** Runs one case in repositories of its own. Failures are results; nothing is thrown. */
  async run(suite: string, testCase: ConformanceCase): Promise<readonly CheckResult[]> {
    const caseName = `${suite}/${testCase.name}`
    const unmet = this.#unmet(testCase.needs ?? [])
    if (unmet !== undefined) return [{ caseName, name: '', outcome: 'skipped', reason: unmet }]
    this.#cases += 1
    const results: CheckResult[] = []
    const context = this.#context((result) => results.push({ caseName, ...result }))
    try {
      await testCase.run(context)
    } catch (error) {
      if (!(error instanceof CaseOver))
        results.push({ caseName, ...this.#failure('the case', error) })
    }
    return results
  }

  close(): void {
    this.#client.close()
  }

  #context(record: (result: Omit<CheckResult, 'caseName'>) => void): CaseContext {
    const repository = `${this.#namespace}/c${this.#cases}`
    /** Records how a body ends; its value, wrapped, where it passed. */
    const attempt = async <T>(
      name: string,
      body: () => Promise<T> | T,
    ): Promise<[T] | undefined> => {
      const faults: string[] = []
      this.#client.log.length = 0
      this.#client.watch = (request, reply) => {
        const fault = faultOf(request, reply)
        if (fault !== undefined) faults.push(fault)
      }
      try {
        const value = await body()
        if (faults[0] !== undefined) throw new Error(faults[0])
        record({ name, outcome: 'passed' })
        return [value]
      } catch (error) {
        record(this.#failure(name, error))
        return undefined
      }
    }
    return {
      client: this.#client,
      repository,
      otherRepository: `${repository}-other`,
      credentials: this.#registry.credentials,
      tags: this.#registry.tags ?? DEFAULT_TAGS,
      has: (feature) => reasonAgainst(feature, this.#declared) === undefined,
      check: async (name, body, needs = []) => {
        const reason = this.#unmet(needs)
        if (reason === undefined) await attempt(name, body)
        else record({ name, outcome: 'skipped', reason })
      },
      step: async (name, body) => {
        const passed = await attempt(name, body)
        if (passed === undefined) throw new CaseOver()
        return passed[0]
      },
    }
  }

  #failure(name: string, error: unknown): Omit<CheckResult, 'caseName'> {
    const reason = error instanceof Error ? error.message : String(error)
    const isTolerated = error instanceof Lacking && this.#registry.strict !== true
    if (isTolerated) {
      return { name, outcome: 'skipped', reason: `lacks ${error.feature}: ${reason}` }
    }
    const requests = this.#client.log.slice(-KEPT_REQUESTS)
    return { name, outcome: 'failed', reason, requests }
  }

  #unmet(needs: readonly (Feature | 'credentials')[]): string | undefined {
    for (const need of needs) {
      if (need === 'credentials') {
        if (!this.#registry.credentials) return 'no credentials are given'
        continue
      }
      const reason = reasonAgainst(need, this.#declared)
      if (reason !== undefined) return reason
    }
    return undefined
  }
}

/** Runs all cases, or those whose `suite/case` contains one of the texts of `only`. */
export async function* runConformance(
  registry: RegistryUnderTest,
  only: readonly string[] = [],
): AsyncGenerator<CheckResult> {
  const run = new ConformanceRun(registry)
  try {
    for (const suite of suites) {
      for (const testCase of suite.cases) {
        const name = `${suite.name}/${testCase.name}`
        const isWanted = only.length === 0 || only.some((text) => name.includes(text))
        if (isWanted) yield* await run.run(suite.name, testCase)
      }
    }
  } finally {
    run.close()
  }
}
