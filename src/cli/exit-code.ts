/** What the shell learns. */
export const EXIT_OK = 0
/** The job failed. */
export const EXIT_FAILURE = 1
/** The command line was not understood. */
export const EXIT_USAGE = 2
/** Stopped by Ctrl-C: 128 and the number of SIGINT. */
export const EXIT_INTERRUPTED = 130
