import type { StorageBackend } from '@s3lo/core'
import { type FaultKind, FaultProxy } from '@s3lo/core/testing'
import { describe, it } from 'vitest'
import { ANSWER_VERBS, runAnswerMatrix } from './answer-matrix.ts'
import {
  FAULT_OPERATIONS,
  type FaultMatrixOptions,
  type FaultMatrixRow,
  type FaultOperation,
  runFaultMatrix,
} from './fault-matrix.ts'
import type { FaultExtent } from './spoilings.ts'

/** How the kit gets at the service whose answers it spoils. */
export interface FaultsUnderTest {
  /** Of a service that speaks plain HTTP. */
  readonly endpoint: string
  /** Makes an empty bucket and returns its name. */
  makeBucket(): Promise<string>
  /**
   * Opens the bucket at `endpoint`, which is a proxy or the service itself. Its retries must not
   * wait, and must give silence up within a tenth of a second.
   */
  open(endpoint: string, bucket: string): Promise<StorageBackend>
  destroy(bucket: string): Promise<void>
  /** Default: all of them. */
  readonly kinds?: readonly FaultKind[] | undefined
  /** Default: all of them. */
  readonly operations?: readonly FaultOperation[] | undefined
  /** Default: `product`. */
  readonly extent?: FaultExtent | undefined
  /**
   * Objects that are listed where answers are spoiled; default 3. More than a page of the service
   * has, so that its later pages are spoiled too.
   */
  readonly listed?: number | undefined
}

/** More requests than this make a fixture that takes too long; fewer are no bound on real images. */
const MOST_REQUESTS = 40
/** For the product at a slow service. */
const TIMEOUT_MS = 1_800_000

/**
 * Declares the fault matrix of a backend as vitest tests, one for each operation. How much each of
 * them did is printed on standard error.
 */
export function describeFaults(name: string, underTest: FaultsUnderTest): void {
  const { extent } = underTest
  describe(`${name}, when requests fail`, () => {
    for (const operation of underTest.operations ?? FAULT_OPERATIONS) {
      it(
        `${operation} ends well or in one clear error, and loses nothing`,
        async () => {
          const { requests, runs, succeeded } = await runOnce(operation, underTest)
          process.stderr.write(
            `${name}: ${operation} of ${requests} requests, spoiled ${runs} times, ` +
              `${succeeded} went well all the same\n`,
          )
          if (requests > MOST_REQUESTS) throw new Error(`${requests} requests for a small image`)
        },
        TIMEOUT_MS,
      )
    }
  })
  describe(`${name}, when another answers for the service`, () => {
    for (const verb of ANSWER_VERBS) {
      it(
        `${verb} is right or fails clearly`,
        async ({ skip }) => {
          const row = await withProxy(underTest, (places) =>
            runAnswerMatrix(verb, { ...places, listed: underTest.listed ?? 3, extent }),
          )
          if (row === undefined) return skip('the backend does not have it')
          const { requests, runs, succeeded } = row
          process.stderr.write(
            `${name}: ${verb} of ${requests} requests, answered by another ${runs} times, ` +
              `${succeeded} went well all the same\n`,
          )
        },
        TIMEOUT_MS,
      )
    }
  })
}

async function runOnce(
  operation: FaultOperation,
  underTest: FaultsUnderTest,
): Promise<FaultMatrixRow> {
  const { kinds, extent } = underTest
  return withProxy(underTest, (places) => runFaultMatrix(operation, { ...places, kinds, extent }))
}

type Places = Pick<FaultMatrixOptions, 'proxy' | 'through' | 'direct'>

/** An empty bucket, through a proxy and without it. */
async function withProxy<T>(
  underTest: FaultsUnderTest,
  run: (places: Places) => Promise<T>,
): Promise<T> {
  const { endpoint } = underTest
  const proxy = await FaultProxy.start(endpoint)
  const bucket = await underTest.makeBucket()
  const direct = await underTest.open(endpoint, bucket)
  const through = await underTest.open(proxy.url, bucket)
  try {
    // What a bucket guarantees is found out once, and no part of the operation.
    await through.proveGuarantees?.()
    return await run({ proxy, through, direct })
  } finally {
    await proxy.close()
    await through.close?.()
    await direct.close?.()
    await underTest.destroy(bucket)
  }
}
