/**
 * `pnpm fuzz [SECONDS] [--seed N] [--only TEXT]`: runs what the files `*.fuzz.ts` in the tests of packages
 * export as `properties`, each property for so many seconds (10). Each has a thread of its own, with
 * little memory and watched from outside: a crash, a hang, a run of many seconds and memory without end
 * are findings.
 */
import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { check, type IRawProperty } from 'fast-check'

type Run = ReturnType<IRawProperty<unknown>['run']>
type Verdict = Awaited<Run>

/** A property of one file, and how it is run. */
interface Task {
  readonly file: string
  readonly name: string
  readonly seconds: number
  readonly seed: number
}

interface Outcome {
  readonly runs: number
  /** What was found; absent when nothing was. */
  readonly report?: string
}

const ROOT = join(import.meta.dirname, '..')
const MEMORY_MB = 512
/** Loading, shrinking and a busy machine; what takes longer hangs. */
const GRACE_SECONDS = 30
/** What one run may take: inputs are small, so that a longer one is an input that costs out of proportion. */
const RUN_SECONDS = 5

if (isMainThread) process.exitCode = await main()
else parentPort?.postMessage(await runHere(workerData as Task), [])

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: 'string' }, only: { type: 'string', default: '' } },
  })
  const seconds = Number(positionals[0] ?? 10)
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  if (!(seconds > 0) || !Number.isSafeInteger(seed)) {
    console.error('usage: pnpm fuzz [SECONDS] [--seed N] [--only TEXT]')
    return 64
  }
  console.log(`seed ${seed}, ${seconds} s each`)
  let findings = 0
  for (const file of globSync('packages/*/test/**/*.fuzz.ts', { cwd: ROOT }).toSorted()) {
    for (const name of Object.keys(await propertiesOf(file))) {
      const title = `${file.split('/')[1]}/${basename(file, '.fuzz.ts')}: ${name}`
      if (!title.includes(values.only)) continue
      const { runs, report } = await runApart({ file, name, seconds, seed })
      console.log(`${report === undefined ? 'ok  ' : 'FAIL'} ${title}: ${runs} runs`)
      if (report === undefined) continue
      findings += 1
      console.log(`${report}\nagain: pnpm fuzz ${seconds} --seed ${seed} --only '${name}'`)
    }
  }
  return findings === 0 ? 0 : 1
}

/** Runs a property in a thread; that it neither ends nor answers is a finding too. */
function runApart(task: Task): Promise<Outcome> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  })
  return new Promise((resolve) => {
    const watchdog = setTimeout(
      () => {
        resolve({ runs: 0, report: `no answer ${GRACE_SECONDS} s after its time: it hangs` })
        void worker.terminate()
      },
      (task.seconds + GRACE_SECONDS) * 1000,
    )
    worker.once('message', resolve)
    worker.once('error', (error) => resolve({ runs: 0, report: String(error) }))
    worker.once('exit', (status) => {
      clearTimeout(watchdog)
      resolve({ runs: 0, report: `the thread ended with ${status}` })
    })
  })
}

async function runHere({ file, name, seconds, seed }: Task): Promise<Outcome> {
  const property = (await propertiesOf(file))[name]
  if (!property) throw new Error(`${file} has no ${name}`)
  const details = await check(inTime(property), {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: seconds * 1000,
    markInterruptAsFailure: false,
  })
  const { failed, numRuns: runs } = details
  if (!failed) return runs > 0 ? { runs } : { runs, report: 'not one run in its time' }
  const { counterexample, counterexamplePath, errorInstance } = details
  const shown = JSON.stringify(counterexample)?.slice(0, 2000)
  return { runs, report: `${String(errorInstance)}\nfor ${shown}\npath ${counterexamplePath}` }
}

/** The property, of which a run that takes too long is a finding like any other. */
function inTime(property: IRawProperty<unknown>): IRawProperty<unknown> {
  const judge = (begun: number, verdict: Verdict): Verdict => {
    const seconds = (performance.now() - begun) / 1000
    if (verdict !== null || seconds <= RUN_SECONDS) return verdict
    return { error: new Error(`took ${seconds.toFixed(1)} s, more than ${RUN_SECONDS}`) }
  }
  const run = (value: unknown): Run => {
    const begun = performance.now()
    const verdict = property.run(value)
    return verdict instanceof Promise
      ? verdict.then((settled) => judge(begun, settled))
      : judge(begun, verdict)
  }
  return new Proxy(property, {
    get: (target, key): unknown => {
      if (key === 'run') return run
      const member: unknown = Reflect.get(target, key, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

async function propertiesOf(
  file: string,
): Promise<Readonly<Record<string, IRawProperty<unknown>>>> {
  const module: unknown = await import(pathToFileURL(join(ROOT, file)).href)
  const properties: unknown =
    typeof module === 'object' && module !== null && 'properties' in module ? module.properties : {}
  // The files are our own: what is no property fails as it is run.
  return properties as Readonly<Record<string, IRawProperty<unknown>>>
}
