export {
  type CommandLineProblem,
  isOption,
  parseCommand,
  type ParsedArgs,
  type ParsedCommand,
} from './command/parse.ts'
export { replaceFile, takesStream } from './command/replace-file.ts'
