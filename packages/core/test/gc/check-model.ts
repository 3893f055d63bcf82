/**
 * `node packages/core/test/gc/check-model.ts [STATES]`: explores the collection protocol at length, up
 * to so many states of each instance (2 000 000), and prints how each mutation loses a blob. Fails
 * when the protocol does, when a mutation does not, and on less than a million states in all.
 */
import { explore } from './explore.ts'
import { INSTANCES, MUTATIONS } from './model-mutations.ts'
import { ProtocolModel } from './model.ts'

const limit = Number(process.argv[2] ?? 2_000_000)
const LEAST_STATES = 1_000_000

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function checkInstances(): number {
  let total = 0
  for (const [name, instance] of Object.entries(INSTANCES)) {
    const started = performance.now()
    const { states, transitions, complete, trace } = explore(new ProtocolModel(instance), limit)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const end = complete ? 'complete' : 'cut off'
    print(`${name}: ${states} states, ${transitions} transitions, ${end}, ${seconds} s`)
    if (trace) throw new Error(`instance ${name} loses a blob:\n${trace.join('\n')}`)
    total += states
  }
  return total
}

function checkMutations(): void {
  for (const { removed, instance, protocol } of MUTATIONS) {
    const found = explore(new ProtocolModel(INSTANCES[instance]!, protocol), limit)
    if (!found.trace) throw new Error(`nothing is lost without: ${removed}`)
    print(`\nwithout ${removed} (${instance}, ${found.trace.length - 1} steps):`)
    for (const line of found.trace) print(`  ${line}`)
  }
}

const total = checkInstances()
if (total < LEAST_STATES) throw new Error(`only ${total} states`)
print(`${total} states, nothing lost`)
checkMutations()
print(`\n${MUTATIONS.length} mutations, each caught`)
