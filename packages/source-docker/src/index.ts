/** Docker archives, as `docker save` writes them: `FILE[:name[:tag]]`. */
export * as dockerArchive from './docker-archive.ts'
/** The images of a Docker engine: `name[:tag|@digest]`. */
export * as dockerDaemon from './docker-daemon.ts'
/** OCI image layouts in a tar archive: `FILE[:tag]`. */
export * as ociArchive from './oci-archive.ts'
/** OCI image layouts in a directory: `DIR[:tag]`. */
export * as ociLayout from './oci-layout.ts'
