/** What packages that write files share. */
export { writeBody, type WriteBodyOptions } from './write-body.ts'
