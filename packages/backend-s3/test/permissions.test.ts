import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type CommandPermissions, PERMISSIONS } from '../src/index.ts'

const readPage = (): Promise<string> =>
  readFile(join(import.meta.dirname, '../../../docs/backends/s3.md'), 'utf8')

it('the documentation has the table of permissions that the code has', async () => {
  const quote = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ')
  const rows = PERMISSIONS.map(
    ({ commands, onBucket, onObjects }) =>
      `| ${commands.join(', ')} | ${quote(onBucket)} | ${quote(onObjects)} |`,
  )
  const head = ['| command | on the bucket | on its objects |', '| --- | --- | --- |']
  expect(await readPage()).toContain([...head, ...rows, ''].join('\n'))
})

it.each([
  ['list', 'reads'],
  ['clean', 'does everything'],
])('the documentation has the policy of a client that can %s, and so %s', async (command) => {
  const found = PERMISSIONS.find(({ commands }) => commands.includes(command))
  expect(await readPage()).toContain(JSON.stringify(policyOf(found), undefined, 2))
})

it('every command that a reader needs is content with what a reader has', () => {
  const [reading, ...others] = PERMISSIONS
  for (const { onBucket, onObjects } of others) {
    expect(onBucket).toEqual(expect.arrayContaining([...(reading?.onBucket ?? [])]))
    expect(onObjects).toEqual(expect.arrayContaining([...(reading?.onObjects ?? [])]))
  }
})

function policyOf(permissions: CommandPermissions | undefined): object {
  const { onBucket = [], onObjects = [] } = permissions ?? {}
  return {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: onBucket, Resource: 'arn:aws:s3:::my-bucket' },
      { Effect: 'Allow', Action: onObjects, Resource: 'arn:aws:s3:::my-bucket/*' },
    ],
  }
}
