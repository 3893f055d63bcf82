import type { CommandDescription, OptionDescription } from '../../describe-command.ts'
import { bash } from './bash.ts'
import { fish } from './fish.ts'
import { toPlaces } from './places.ts'
import { powershell } from './powershell.ts'
import { zsh } from './zsh.ts'

/** The shells that completion scripts exist for: the values of the argument of `completion`. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const

/** A shell that completion scripts exist for. */
export type Shell = (typeof SHELLS)[number]

const SCRIPTS = { bash, zsh, fish, powershell }

/** A script that makes a shell complete the commands, their options and the values of those. */
export function completionScript(
  shell: Shell,
  commands: readonly CommandDescription[],
  globals: readonly OptionDescription[],
): string {
  return SCRIPTS[shell](toPlaces(commands, globals))
}
