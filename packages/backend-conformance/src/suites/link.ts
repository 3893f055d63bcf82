import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { supports } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import { bytesOf } from '../content.ts'

export const linkSuite: ConformanceSuite = {
  name: 'linkTo',
  cases: [
    {
      title: 'linkTo lends an object as a file, or says that it cannot',
      needs: ['linkTo'],
      async run({ backend }) {
        assert.ok(supports(backend, 'linkTo'))
        const folder = await mkdtemp(join(tmpdir(), 's3lo-link-'))
        try {
          const file = join(folder, 'lent')
          await backend.put('key', bytesOf(1000))
          const info = await backend.linkTo('key', file)
          if (info) {
            assert.equal(info.size, 1000)
            assert.ok((await readFile(file)).equals(bytesOf(1000)), 'other bytes')
            await backend.put('key', bytesOf(2000))
            assert.equal((await readFile(file)).length, 1000, 'a later write shows in the file')
          }
          assert.equal(await backend.linkTo('absent', join(folder, 'absent')), undefined)
        } finally {
          await rm(folder, { recursive: true, force: true })
        }
      },
    },
  ],
}
