import { Command, type CommandClass } from 'clipanion'
import type { S3loContext } from './context.ts'

/**
 * A plugin's command class as our clipanion understands it. A plugin that the user added brings a
 * clipanion of its own, which marks options with a symbol that ours would not look for.
 */
export function adoptCommand(commandClass: CommandClass<S3loContext>): CommandClass<S3loContext> {
  const mark: unknown = 'isOption' in commandClass ? commandClass.isOption : undefined
  if (typeof mark !== 'symbol' || mark === Command.isOption) return commandClass
  return new Proxy(commandClass, {
    construct(target, args: readonly unknown[], newTarget) {
      const command = Reflect.construct(target, args, newTarget) as object
      for (const member of Object.values(command) as readonly unknown[]) {
        if (typeof member !== 'object' || member === null || !Reflect.get(member, mark)) continue
        Object.assign(member, { [Command.isOption]: true })
      }
      return command
    },
  })
}
