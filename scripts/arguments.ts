/**
 * Arguments of a script: `--help` prints the options and exits with 0; wrong usage prints what is right and exits with
 * 2.
 */
import { parseArgs } from 'node:util';

interface Described {
  readonly type: 'string' | 'boolean';
  readonly help: string;
  readonly default?: string | boolean;
  /** Placeholder for the value in the help. `N`: a number, which is checked. */
  readonly value?: string;
  /** All valid values. */
  readonly choices?: readonly string[];
}

type Options = Readonly<Record<string, Described>>;

interface Script<T extends Options> {
  /** The command and its positional arguments: "npm run retrain -- SOURCE". */
  readonly usage: string;
  readonly about: string;
  readonly options: T;
  /** Minimum and maximum number of positional arguments. */
  readonly positionals?: readonly [min: number, max: number];
  /** Required options. */
  readonly required?: readonly (keyof T & string)[];
}

type ValueOf<T extends Described> = T['type'] extends 'boolean' ? boolean : string;

export interface Arguments<T extends Options> {
  readonly values: {
    readonly [K in keyof T]: T[K] extends { default: string | boolean }
      ? ValueOf<T[K]>
      : ValueOf<T[K]> | undefined;
  };
  readonly positionals: readonly string[];
}

export function readArguments<const T extends Options>(
  script: Script<T>,
  args = process.argv.slice(2),
): Arguments<T> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(helpOf(script));
    process.exit(0);
  }
  try {
    const options: Options = script.options;
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
    check(script, values, positionals);
    return { values, positionals } as unknown as Arguments<T>;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${helpOf(script)}`);
    process.exit(2);
  }
}

/** @throws Error that says what is wrong */
function check<T extends Options>(
  { options, positionals: [min, max] = [0, 0], required = [] }: Script<T>,
  values: Readonly<Record<string, unknown>>,
  positionals: readonly string[],
): void {
  if (positionals.length < min || positionals.length > max)
    throw new Error(`Wrong number of arguments: ${positionals.length}.`);
  for (const name of required) if (values[name] === undefined) throw new Error(`--${name} is missing.`);
  for (const [name, { value, choices }] of Object.entries(options)) {
    const given = values[name];
    if (given === undefined) continue;
    if (choices && !choices.includes(String(given)))
      throw new Error(`--${name} must be one of ${choices.join(', ')}, not "${given}".`);
    if (value === 'N' && !(Number(given) >= 0))
      throw new Error(`--${name} must be a number, not "${given}".`);
  }
}

function helpOf<T extends Options>({ usage, about, options, required = [] }: Script<T>): string {
  const rows = Object.entries(options).map(([name, { help, value, choices, default: fallback }]) => {
    const notes = [
      ...(choices ? [choices.join(', ')] : []),
      ...(typeof fallback === 'string' && fallback !== '' ? [`default: ${fallback}`] : []),
      ...(required.includes(name) ? ['required'] : []),
    ];
    const note = notes.length > 0 ? ` (${notes.join('; ')})` : '';
    return [`--${name}${value ? ` ${value}` : ''}`, `${help}${note}`] as const;
  });
  rows.push(['--help', 'print this text']);
  const width = Math.max(...rows.map(([option]) => option.length));
  return [
    `Usage: ${usage}${Object.keys(options).length > 0 ? ' [options]' : ''}`,
    about,
    `Options:\n${rows.map(([option, help]) => `  ${option.padEnd(width)}  ${help}`).join('\n')}`,
  ].join('\n\n');
}
