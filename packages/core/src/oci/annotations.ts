/** Annotation keys that s3lo reads or writes. */
export const ANNOTATION = {
  /** The tag of an entry in an OCI layout's `index.json` (OCI image spec v1.1.1, "annotations"). */
  refName: 'org.opencontainers.image.ref.name',
  /** The full name by which containerd lists an imported image. */
  containerdImageName: 'io.containerd.image.name',
  /** BuildKit: the manifest that an attestation manifest is about. */
  attestationSubject: 'vnd.docker.reference.digest',
  /** BuildKit: `attestation-manifest`. */
  attestationType: 'vnd.docker.reference.type',
} as const
