export { checkPolicy as checkAge } from './checks/age.ts'
export { checkPolicy as checkSize } from './checks/size.ts'
