/** A converter of ICC profiles that dies as native code does. */
process.kill(process.pid, 'SIGSEGV');
