/** Starts the comparison with other methods, which is written in Python: scripts/evaluation. */
import { spawnSync } from 'node:child_process';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.ts';

const scripts = fileURLToPath(new URL('.', import.meta.url));

const { values } = readArguments({
  usage: 'npm run evaluate --',
  about: `Compares both transfers with other methods on the same pixels, and writes tables and pictures. Missing sets
are skipped, and the tables say so. Needs Python with scripts/requirements-evaluation.txt; STAIN_PYTHON names it.`,
  options: {
    data: {
      type: 'string',
      default: '../shared/data',
      value: 'FOLDER',
      help: 'folder with the sets of pictures',
    },
    out: { type: 'string', default: 'docs/evaluation', value: 'FOLDER', help: 'folder for the results' },
    template: { type: 'string', value: 'PICTURE', help: 'picture that every method normalises to' },
    methods: { type: 'string', value: 'REGEX', help: 'only methods whose name matches' },
    processes: { type: 'string', default: '2', value: 'N', help: 'number of methods measured at once' },
  },
});

// The results print their command: relative paths reveal nothing about this machine.
const path = (given: string): string => relative(scripts, resolve(given));
const { data, out, template, methods, processes } = values;
const { status, error } = spawnSync(
  process.env['STAIN_PYTHON'] ?? 'python3',
  [
    ...['-m', 'evaluation', '--data', path(data), '--out', path(out), '--processes', processes],
    ...(template === undefined ? [] : ['--template', path(template)]),
    ...(methods === undefined ? [] : ['--methods', methods]),
  ],
  { cwd: scripts, stdio: 'inherit' },
);
if (error) console.error(error.message);
process.exitCode = status ?? 1;
