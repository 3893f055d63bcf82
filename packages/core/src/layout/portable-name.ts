import type { Reference } from '../oci/reference.ts'

/** One component of a repository's name (OCI distribution spec v1.1.1, "pulling manifests"). */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
/** A host that a name may begin with, where a component follows: `localhost`, `host:5000`, `ghcr.io`. */
const HOST = /^(?:localhost|(?=.*[.:])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)(?::\d+)?$/
const TAG_CHARACTERS = /^[A-Za-z0-9._-]*$/

/** The longest name that engines take, host included, and the longest tag (characters). */
const MAX_NAME = 255
const MAX_TAG = 128

/**
 * Why no engine or registry would take a name or tag; `undefined` where they do. A store takes more:
 * other programs have written such names, which are read and deleted as they are.
 */
export function portabilityProblem({ name, tag }: Reference): string | undefined {
  return nameProblem(name) ?? (tag === undefined ? undefined : tagProblem(tag))
}

function nameProblem(name: string): string | undefined {
  if (name.length > MAX_NAME) return `its name has more than ${MAX_NAME} characters`
  const components = name.split('/')
  const isHosted = components.length > 1 && HOST.test(components[0] ?? '')
  const wrong = components.slice(isHosted ? 1 : 0).find((component) => !COMPONENT.test(component))
  if (wrong === undefined) return undefined
  const shown = JSON.stringify(wrong)
  if (/[A-Z]/.test(wrong)) return `${shown} in its name has capitals`
  if (/[^a-z0-9._-]/.test(wrong))
    return `${shown} in its name has other characters than a-z, 0-9, ".", "_" and "-"`
  return `${shown} in its name begins or ends with a separator, or has two in a row`
}

function tagProblem(tag: string): string | undefined {
  if (tag.length > MAX_TAG) return `its tag has more than ${MAX_TAG} characters`
  if (/^[.-]/.test(tag)) return `its tag begins with ${JSON.stringify(tag[0])}`
  if (TAG_CHARACTERS.test(tag)) return undefined
  return 'its tag has other characters than letters, digits, ".", "_" and "-"'
}
