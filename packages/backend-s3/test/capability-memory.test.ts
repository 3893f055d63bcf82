import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CapabilityMemory } from '../src/capability-memory.ts'

const DAY_MS = 24 * 3600 * 1000
const FACTS = { createOnly: true, compareAndSwap: false, deadlines: true }

let folder: string
let file: string
let now: number
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-memory-'))
  file = join(folder, 's3lo', 'capabilities.json')
  now = Date.parse('2026-11-21T06:00:00Z')
})
afterEach(() => rm(folder, { recursive: true }))

// On Windows the folder has another variable.
const newMemory = (
  env: Record<string, string> = { XDG_CACHE_HOME: folder, LOCALAPPDATA: folder },
) => new CapabilityMemory(env, () => now)

it('recalls what it has learned of a store, in another process too', async () => {
  await newMemory().remember('http://a/one', FACTS)
  expect(await newMemory().recall('http://a/one')).toEqual(FACTS)
  expect(await newMemory().recall('http://a/two')).toBeUndefined()
})

it('recalls nothing after seven days, nor when the clock was set back', async () => {
  const memory = newMemory()
  await memory.remember('store', FACTS)
  now += 7 * DAY_MS - 1
  expect(await memory.recall('store')).toEqual(FACTS)
  now += 1
  expect(await memory.recall('store')).toBeUndefined()
  now -= 8 * DAY_MS
  expect(await memory.recall('store')).toBeUndefined()
})

it('keeps other stores, and forgets those that are too old', async () => {
  const memory = newMemory()
  await memory.remember('old', FACTS)
  now += 4 * DAY_MS
  await memory.remember('young', FACTS)
  now += 4 * DAY_MS
  await memory.remember('new', FACTS)
  expect(Object.keys(JSON.parse(await readFile(file, 'utf8')))).toEqual(['young', 'new'])
})

it('keeps no more than it needs', async () => {
  await mkdir(join(file, '..'))
  const entries = Array.from({ length: 600 }, (_, index) => [`${index}`, { ...FACTS, at: now }])
  await writeFile(file, JSON.stringify(Object.fromEntries(entries)))
  await newMemory().remember('new', FACTS)
  expect(Object.keys(JSON.parse(await readFile(file, 'utf8')))).toHaveLength(500)
  expect(await newMemory().recall('new')).toEqual(FACTS)
})

it.each([
  ['is cut off', '{"store":{"createOnly":tr'],
  ['is something else', '[1,2]'],
  [
    'has other facts',
    '{"store":{"createOnly":"yes","compareAndSwap":true,"deadlines":true,"at":1}}',
  ],
  ['is no object', 'null'],
  ['is very large', ' '.repeat(1024 * 1024 + 1)],
])('recalls nothing of a file that %s, and replaces it', async (_, text) => {
  await mkdir(join(file, '..'))
  await writeFile(file, text)
  const memory = newMemory()
  expect(await memory.recall('store')).toBeUndefined()
  await memory.remember('store', FACTS)
  expect(await memory.recall('store')).toEqual(FACTS)
})

it('leaves nothing but its file', async () => {
  await newMemory().remember('store', FACTS)
  expect(await readdir(join(file, '..'))).toEqual(['capabilities.json'])
})

it('does without a folder that cannot be made', async () => {
  const notAFolder = join(folder, 'file')
  await writeFile(notAFolder, '')
  const memory = newMemory({ XDG_CACHE_HOME: notAFolder, LOCALAPPDATA: notAFolder })
  await memory.remember('store', FACTS)
  expect(await memory.recall('store')).toBeUndefined()
})

it('is below the home of the user where no other folder is named', async () => {
  await newMemory({ HOME: folder }).remember('store', FACTS)
  const below = join(folder, '.cache', 's3lo', 'capabilities.json')
  expect(JSON.parse(await readFile(below, 'utf8'))).toHaveProperty('store')
})
