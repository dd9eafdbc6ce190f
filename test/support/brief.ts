/** In .ci/run: what only repeats a test with another archive or at another moment is left to .ci/full. */
export const isBrief = process.env['STAIN_TESTS_BRIEF'] === 'true';
