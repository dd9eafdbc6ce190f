/** A converter of ICC profiles that crashes like native code. */
process.kill(process.pid, 'SIGSEGV');
