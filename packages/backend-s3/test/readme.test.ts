import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { ACCESS_KEY, FakeS3, page, SECRET_KEY } from './fake-s3.ts'
import { FlawedS3 } from './flawed-s3.ts'

const packageFolder = join(import.meta.dirname, '..')

it('has an example that runs as it is written', async () => {
  const readme = await readFile(join(packageFolder, 'README.md'), 'utf8')
  const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = await mkdtemp(join(tmpdir(), 's3lo-readme-'))
  const service = await FakeS3.start()
  const store = new FlawedS3()
  service.always((response, request) => {
    const isListing = request.url.includes('list-type')
    const answer = isListing ? page(['hello/world']) : store.answer
    answer(response, request)
  })
  try {
    await mkdir(join(folder, 'node_modules', '@s3lo'), { recursive: true })
    await symlink(packageFolder, join(folder, 'node_modules', '@s3lo', 'backend-s3'))
    await writeFile(join(folder, 'example.mjs'), example)
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=s3lo-source', 'example.mjs'],
      {
        cwd: folder,
        env: {
          HOME: folder,
          AWS_ENDPOINT_URL_S3: service.url,
          AWS_ACCESS_KEY_ID: ACCESS_KEY,
          AWS_SECRET_ACCESS_KEY: SECRET_KEY,
        },
      },
    )
    expect(stdout.trim()).toBe('hello/world 1')
    const write = service.requests.find(({ url }) => url.startsWith('/images/hello/world'))
    expect(write?.headers['if-none-match']).toBe('*')
  } finally {
    await service.close()
    await rm(folder, { recursive: true })
  }
})
