import { execFileSync } from 'node:child_process'
import {
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { replaceFile } from '../../src/command.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-replace-'))
})
afterEach(() => rm(folder, { recursive: true }))

const at = (...names: string[]): string => join(folder, ...names)
const content = (text = 'new'): Uint8Array[] => [Buffer.from(text)]

describe('a file that is written', () => {
  it('is there whole, in place of the one before, and nothing else is', async () => {
    for (const text of ['one', 'two']) {
      await replaceFile(at('out'), content(text))
      expect(await readFile(at('out'), 'utf8')).toBe(text)
    }
    expect(await readdir(folder)).toEqual(['out'])
  })

  it('stays as it was when the content breaks off', async () => {
    await writeFile(at('out'), 'old')
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half')
      throw new Error('broken')
    }
    await expect(replaceFile(at('out'), broken())).rejects.toMatchObject({ code: 'IO' })
    expect(await readFile(at('out'), 'utf8')).toBe('old')
    expect(await readdir(folder)).toEqual(['out'])
  })

  it.each([
    ['a directory', '.'],
    ['a directory that is not there', 'no/out'],
    ['a name that ends as one of a directory', 'new/'],
  ])('is refused as %s', async (_, name) => {
    await expect(replaceFile(`${folder}/${name}`, content())).rejects.toMatchObject({ code: 'IO' })
    expect(await readdir(folder)).toEqual([])
  })
})

describe('a link', () => {
  it('stays a link, and the file that it leads to is written', async () => {
    await mkdir(at('files'))
    await writeFile(at('files', 'old'), 'old')
    await symlink('files', at('alias'))
    await symlink('../files/old', at('files', 'inner'))
    await symlink('alias/inner', at('link'))
    await replaceFile(at('link'), content())
    expect(await readlink(at('link'))).toBe('alias/inner')
    expect((await lstat(at('files', 'old'))).isFile()).toBe(true)
    expect(await readFile(at('files', 'old'), 'utf8')).toBe('new')
    expect(await readdir(at('files'))).toEqual(['inner', 'old'])
  })

  it('whose target is not there stays one, and the target comes to be', async () => {
    await symlink('later', at('link'))
    await replaceFile(at('link'), content())
    expect(await readlink(at('link'))).toBe('later')
    expect(await readFile(at('later'), 'utf8')).toBe('new')
  })

  it('in a circle is refused', async () => {
    await symlink('a', at('b'))
    await symlink('b', at('a'))
    await expect(replaceFile(at('a'), content())).rejects.toMatchObject({ code: 'IO' })
    expect(await readlink(at('a'))).toBe('b')
  })
})

describe.skipIf(process.platform === 'win32')('what is no regular file', () => {
  it.each([['itself'], ['a link to it']])(
    'gets the content as it comes: a pipe, by %s',
    async (way) => {
      execFileSync('mkfifo', [at('pipe')])
      await symlink('pipe', at('link'))
      const text = 'through '.repeat(100_000)
      const writing = replaceFile(at(way === 'itself' ? 'pipe' : 'link'), content(text))
      const [read] = await Promise.all([readFile(at('pipe'), 'utf8'), writing])
      expect(read).toBe(text)
      expect((await lstat(at('pipe'))).isFIFO()).toBe(true)
      expect(await readlink(at('link'))).toBe('pipe')
    },
  )

  it('without a reader is a failure', async () => {
    execFileSync('mkfifo', [at('pipe')])
    const endless = (async function* () {
      for (;;) yield Buffer.alloc(65_536)
    })()
    const writing = replaceFile(at('pipe'), endless)
    const reader = await open(at('pipe'), 'r')
    await reader.read()
    await Promise.all([reader.close(), expect(writing).rejects.toMatchObject({ code: 'IO' })])
  })

  it.skipIf(process.platform !== 'linux')(
    'gets it after what is there already: an open file, as standard output may be',
    async () => {
      const file = await open(at('out'), 'a')
      try {
        await file.write('first ')
        const { ino } = await file.stat()
        await symlink(`/proc/self/fd/${file.fd}`, at('stdout'))
        await replaceFile(at('stdout'), content('second'))
        expect(await readFile(at('out'), 'utf8')).toBe('first second')
        expect((await lstat(at('out'))).ino).toBe(ino)
      } finally {
        await file.close()
      }
    },
  )
})
