/**
 * `node packages/core/test/gc/check-model.ts [STATES]`: explores the collection protocol at length, up
 * to so many states of each instance (2 000 000), and prints how each mutation loses a blob. Fails
 * when the protocol does, when a mutation does not, and on less than a million states in all.
 */
import { ChunkModel } from './chunk-model.ts'
import { CHUNK_INSTANCES, CHUNK_MUTATIONS } from './chunk-mutations.ts'
import { explore, type Model } from './explore.ts'
import { INSTANCES, MUTATIONS } from './model-mutations.ts'
import { ProtocolModel } from './model.ts'
import { RECORD_INSTANCES, RECORD_MUTATIONS } from './record-mutations.ts'
import { RecordModel } from './record-model.ts'

const limit = Number(process.argv[2] ?? 2_000_000)
const LEAST_STATES = 1_000_000

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function* models(): Generator<readonly [string, Model], void> {
  for (const [name, instance] of Object.entries(INSTANCES)) {
    yield [name, new ProtocolModel(instance)]
  }
  for (const [name, instance] of Object.entries(RECORD_INSTANCES)) {
    yield [name, new RecordModel(instance)]
  }
  for (const [name, instance] of Object.entries(CHUNK_INSTANCES)) {
    yield [name, new ChunkModel(instance)]
  }
}

function* mutations(): Generator<readonly [string, Model], void> {
  for (const { removed, instance, protocol } of MUTATIONS) {
    yield [`${removed} (${instance})`, new ProtocolModel(INSTANCES[instance]!, protocol)]
  }
  for (const { removed, instance, protocol } of RECORD_MUTATIONS) {
    yield [`${removed} (${instance})`, new RecordModel(RECORD_INSTANCES[instance]!, protocol)]
  }
  for (const { removed, instance, protocol } of CHUNK_MUTATIONS) {
    yield [`${removed} (${instance})`, new ChunkModel(CHUNK_INSTANCES[instance]!, protocol)]
  }
}

function checkInstances(): number {
  let total = 0
  for (const [name, model] of models()) {
    const started = performance.now()
    const { states, transitions, complete, trace } = explore(model, limit)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const end = complete ? 'complete' : 'cut off'
    print(`${name}: ${states} states, ${transitions} transitions, ${end}, ${seconds} s`)
    if (trace) throw new Error(`instance ${name} is broken:\n${trace.join('\n')}`)
    total += states
  }
  return total
}

function checkMutations(): number {
  let caught = 0
  for (const [name, model] of mutations()) {
    const { trace } = explore(model, limit)
    if (!trace) throw new Error(`nothing is lost without: ${name}`)
    print(`\nwithout ${name}, ${trace.length - 1} steps:`)
    for (const line of trace) print(`  ${line}`)
    caught++
  }
  return caught
}

const total = checkInstances()
if (total < LEAST_STATES) throw new Error(`only ${total} states`)
print(`${total} states, nothing lost`)
print(`\n${checkMutations()} mutations, each caught`)
