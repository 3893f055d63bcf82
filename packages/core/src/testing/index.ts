/** For tests: the reference backend, any backend with faults, fixtures, and what a suite needs from outside. */
export { FAULT_KINDS, type FaultKind, FaultProxy } from './fault-proxy.ts'
export {
  type Death,
  dieAt,
  type Fault,
  type Faults,
  FaultyBackend,
  stallAt,
  type StorageCall,
  type StorageMethod,
  throwAt,
} from './faulty-backend.ts'
export { attachReferrer } from './attach.ts'
export { type ChunkedFixtureOptions, putChunkedImage } from './chunked-fixture.ts'
export { isRequired, requiredVariables } from './required.ts'
export { MemoryBackend, type MemoryBackendOptions } from './memory-backend.ts'
export {
  type FixtureOptions,
  FixtureSource,
  type ImageFixture,
  imageFixture,
  indexFixture,
  putImage,
  referrerFixture,
} from './fixtures.ts'
export {
  padTar,
  TAR_END,
  type TarFields,
  tarFile,
  tarHeader,
  tarPax,
  withTarChecksum,
} from './tar-fixture.ts'
export { noise } from './noise.ts'
export { runCommand } from './run-command.ts'
