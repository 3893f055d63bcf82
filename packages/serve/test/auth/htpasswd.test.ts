import { describe, expect, it } from 'vitest'
import { createUsers, parseHtpasswd } from '../../src/auth/htpasswd.ts'
import { HASH } from '../support/access.ts'

const ALICE = `alice:${HASH}`

/** bcrypt in name only: counts its calls. */
function countingVerify(right: string) {
  const calls: { readonly password: string; readonly hash: string }[] = []
  return {
    calls,
    verify: (password: string, hash: string): Promise<boolean> => {
      calls.push({ password, hash })
      return Promise.resolve(password === right)
    },
  }
}

describe('parseHtpasswd', () => {
  it('reads users, past comments and empty lines', () => {
    const users = parseHtpasswd(`# users\n\n${ALICE}\r\nb.o_b@example.org:${HASH}\n`, 'htpasswd')
    expect([...users.keys()]).toEqual(['alice', 'b.o_b@example.org'])
    expect(users.get('alice')).toBe(HASH)
  })

  it.each([
    ['no colon', 'alice'],
    ['another hash', 'alice:$apr1$abcdefgh$xxxxxxxxxxxxxxxxxxxxxx'],
    ['a plain password', 'alice:secret'],
    ['a cut hash', ALICE.slice(0, -1)],
    ['a cost that takes hours', ALICE.replace('$05$', '$31$')],
    ['a cost that is none', ALICE.replace('$05$', '$03$')],
    ['a name that rules mean something else by', `anonymous:${HASH}`],
    ['a name with a space', `al ice:${HASH}`],
    ['no name', `:${HASH}`],
    ['a user twice', `${ALICE}\n${ALICE}`],
  ])('refuses %s, by its line and without its content', (_what, text) => {
    const error = errorOf(() => parseHtpasswd(`\n${text}\n`, 'users'))
    expect(error).toMatchObject({ code: 'INTEGRITY' })
    expect(error).toHaveProperty('message', expect.stringMatching(/^users line [23]: /))
    expect(String(error)).not.toContain('xxxx')
    expect(String(error)).not.toContain('3KxkwNZVY')
  })
})

describe('the users of an htpasswd file', () => {
  it('are let in by their own password only, as htpasswd hashed it', async () => {
    const users = createUsers(parseHtpasswd(ALICE, 'users'))
    expect(await users.check('alice', 'secret')).toBe(true)
    expect(await users.check('alice', 'Secret')).toBe(false)
    expect(await users.check('alice', '')).toBe(false)
    expect(await users.check('bob', 'secret')).toBe(false)
  })

  it('cost the same whether they are known or not', async () => {
    const { calls, verify } = countingVerify('secret')
    const table = parseHtpasswd(`${ALICE}\nbob:${HASH.replace('$05$', '$11$')}`, 'users')
    const users = createUsers(table, { verify })
    await users.check('bob', 'wrong')
    await users.check('mallory', 'wrong')
    expect(calls.map(({ hash }) => hash.slice(4, 6))).toEqual(['11', '11'])
  })

  it('do not get in by the first 72 bytes of a longer password', async () => {
    const { calls, verify } = countingVerify('x'.repeat(72))
    const users = createUsers(parseHtpasswd(ALICE, 'users'), { verify })
    expect(await users.check('alice', 'x'.repeat(72))).toBe(true)
    expect(await users.check('alice', 'x'.repeat(73))).toBe(false)
    expect(await users.check('alice', `${'é'.repeat(36)}é`)).toBe(false)
    expect(calls).toHaveLength(3)
  })

  it('do not get in by what precedes a NUL', async () => {
    const users = createUsers(parseHtpasswd(ALICE, 'users'))
    expect(await users.check('alice', 'secret\0more')).toBe(false)
  })

  it('have their log-ins remembered, until the password changes', async () => {
    const { verify } = countingVerify('secret')
    const users = createUsers(parseHtpasswd(ALICE, 'users'), { verify })
    expect(users.recall('alice', 'secret')).toBeUndefined()
    await users.check('alice', 'secret')
    await users.check('alice', 'wrong')
    await users.check('bob', 'wrong')
    expect(users.recall('alice', 'secret')).toBe(true)
    expect(users.recall('alice', 'wrong')).toBe(false)
    expect(users.recall('bob', 'wrong')).toBe(false)
    expect(users.recall('bob', 'secret')).toBeUndefined()
    users.replace(parseHtpasswd(ALICE.replace('3Kxkw', '4Kxkw'), 'users'))
    expect(users.recall('alice', 'secret')).toBeUndefined()
    expect(users.recall('alice', 'wrong')).toBeUndefined()
    users.replace(new Map())
    expect(users.recall('alice', 'secret')).toBeUndefined()
    expect(await users.check('alice', 'secret')).toBe(false)
    expect(users.fingerprint('alice')).toBeUndefined()
  })

  it('wait in a line of bounded length', async () => {
    let letIn: () => void = () => {}
    const opened = new Promise<void>((resolve) => {
      letIn = resolve
    })
    let running = 0
    let most = 0
    const users = createUsers(parseHtpasswd(ALICE, 'users'), {
      verify: async () => {
        most = Math.max(most, ++running)
        await opened
        running--
        return false
      },
    })
    const checks = Array.from({ length: 200 }, (_, i) => users.check('alice', `guess ${i}`))
    letIn()
    const answers = await Promise.all(checks)
    expect(most).toBe(2)
    expect(answers.filter((answer) => answer === 'busy')).toHaveLength(134)
  })
})

function errorOf(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
