export type { Answer, AnswerHeaders } from './answer/answer.ts'
export type { Access, Action, Authorization, Authorize, Principal } from './auth/principal.ts'
export type { Exchange, Guard, Page, RegistryOptions } from './options.ts'
export { createRegistry, type Registry } from './registry.ts'
