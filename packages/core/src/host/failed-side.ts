import { addDetails, type FailureDetails, isS3loError } from '../errors.ts'
import { isOfContent } from '../stream/verify-digest.ts'

/**
 * An end of a transfer whose errors say that they are of this side, and of which content. An error
 * has the side on which it came up: content that fails while a target takes it is the source's.
 */
export function markSide<T extends object>(end: T, side: 'source' | 'target'): T {
  const marked = new Proxy(end, {
    get(of, name): unknown {
      const member: unknown = Reflect.get(of, name, of)
      if (typeof member !== 'function') return member
      return (...args: readonly unknown[]): unknown => {
        const result: unknown = Reflect.apply(member, of, args.map(unmarked))
        if (!(result instanceof Promise))
          return isPart(name, result) ? markSide(result, side) : result
        return result.catch((error: unknown) => {
          throw markError(error, side, args.find(digestOf))
        })
      }
    },
  })
  originals.set(marked, end)
  return marked
}

/** True for what an end gives that is written through: its publication, and how that takes layers. */
function isPart(name: string | symbol, result: unknown): result is object {
  const isNamed = name === 'begin' || name === 'compressLayers'
  return isNamed && typeof result === 'object' && result !== null
}

/** What {@link markSide} was given. */
const originals = new WeakMap<object, object>()

/** An end, or `{ source }`, as the callee knows it: it looks for one of its own class or for itself. */
function unmarked(argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null) return argument
  const original = originals.get(argument)
  if (original) return original
  if (!('source' in argument) || typeof argument.source !== 'object') return argument
  const source = argument.source && originals.get(argument.source)
  return source ? { ...argument, source } : argument
}

/** The error, with its side. An abort is of no side. */
export function markError(error: unknown, side: 'source' | 'target', subject?: unknown): unknown {
  if (!isS3loError(error) || error.code === 'ABORTED') return error
  const details: FailureDetails = { side: isOfContent(error) ? 'source' : side }
  const digest = digestOf(subject)
  return addDetails(error, digest === undefined ? details : { ...details, digest })
}

function digestOf(subject: unknown): string | undefined {
  if (typeof subject !== 'object' || subject === null || !('digest' in subject)) return undefined
  const { digest } = subject
  return typeof digest === 'string' && digest !== '' ? digest : undefined
}
