import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { PERMISSIONS } from '../src/index.ts'

it('the documentation has the table of permissions that the code has', async () => {
  const page = join(import.meta.dirname, '../../../docs/backends/azure.md')
  const rows = PERMISSIONS.map(({ commands, dataActions, role, sas }) => {
    const actions = dataActions.map((action) => `\`${action}\``).join(', ')
    return `| ${commands.join(', ')} | ${actions} | ${role} | \`${sas}\` |`
  })
  const head = ['| command | data actions | role | SAS |', '| --- | --- | --- | --- |']
  expect(await readFile(page, 'utf8')).toContain([...head, ...rows, ''].join('\n'))
})

it('a reader has no action that changes anything', () => {
  for (const { commands, dataActions } of PERMISSIONS) {
    if (!commands.includes('pull')) continue
    expect(dataActions.every((action) => action.endsWith('/read'))).toBe(true)
  }
})
