import { definePlugin } from '@s3lo/core/plugin'

export default definePlugin({
  name: '@s3lo/scanner-trivy',
  apiVersion: 1,
  scanners: {
    trivy: { summary: 'Trivy, run on this machine', load: () => import('./open-scanner.ts') },
  },
  policyChecks: {
    scan: {
      summary: 'Trivy finds nothing of max_severity or worse',
      load: () => import('./scan-check.ts'),
    },
  },
  commands: [
    {
      path: ['scan'],
      summary: 'scan an image for vulnerabilities',
      load: () => import('./commands/scan.ts'),
    },
    {
      path: ['sbom'],
      summary: 'list the contents of an image (SBOM)',
      load: () => import('./commands/sbom.ts'),
    },
  ],
})
