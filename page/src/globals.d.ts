/** What build.mjs puts in place of these names. */

/** Whether everything lies within one HTML file; otherwise the page is a folder of files. */
declare const ONE_FILE: boolean;
/** The worker's program, in the one file only. */
declare const WORKER_SOURCE: string;
