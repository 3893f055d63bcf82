export { findTrivy, type TrivySettings } from './find-trivy.ts'
export { installTrivy, type InstallOptions, TRIVY_VERSION } from './install-trivy.ts'
export { TrivyScanner } from './trivy-scanner.ts'
