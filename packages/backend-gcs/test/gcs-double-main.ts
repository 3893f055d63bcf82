/**
 * The double as a process: `node gcs-double-main.ts PORT FOLDER`. Writes the key file of its one
 * service account to FOLDER/key.json, and `listening` to its standard output when it is ready.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GcsDouble } from './gcs-double.ts'
import { makeAccount } from './test-account.ts'

const [port = '0', folder] = process.argv.slice(2)
if (folder === undefined || !/^\d+$/.test(port)) {
  process.stderr.write('usage: node gcs-double-main.ts PORT FOLDER\n')
  process.exit(64)
}
const content = join(folder, 'content')
await mkdir(content, { recursive: true })
const account = makeAccount(`http://127.0.0.1:${port}/token`)
await writeFile(join(folder, 'key.json'), JSON.stringify(account.file), { mode: 0o600 })
const accounts = new Map([[account.email, account.publicKey]])
const double = await GcsDouble.start({ port: Number(port), folder: content, accounts })
process.stdout.write(`listening on ${double.url}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void double.close().then(() => process.exit(0)))
}
