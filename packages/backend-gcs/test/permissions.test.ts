import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { PERMISSIONS } from '../src/index.ts'

it('the documentation has the table of permissions that the code has', async () => {
  const page = join(import.meta.dirname, '../../../docs/backends/gcs.md')
  const rows = PERMISSIONS.map(({ commands, permissions, role }) => {
    const names = permissions.map((permission) => `\`${permission}\``).join(', ')
    const roles = role.replaceAll(/roles\/[\w.]+/g, (name) => `\`${name}\``)
    return `| ${commands.join(', ')} | ${names} | ${roles} |`
  })
  const table = ['| command | permissions | role |', '| --- | --- | --- |', ...rows, ''].join('\n')
  expect(await readFile(page, 'utf8')).toContain(table)
})
