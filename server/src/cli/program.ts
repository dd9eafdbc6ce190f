/** The command line: arguments in, exit code out. What a command does lies in its own file. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { scrub } from '../app/scrub.ts';
import { type Composition, compose, VERSION } from '../composition.ts';
import { type Config, loadConfig } from '../config.ts';
import { DEFAULT_MODEL } from '../contract/default-model.ts';
import { StainError, toStainError } from '../errors.ts';
import type { OutputEncoding } from '../normalization/types.ts';
import { DEFAULT_TRANSFER, TRANSFERS, type TransferName } from '../stain/transfer-name.ts';
import {
  type AuditVerifyArguments,
  auditAnchorsCommand,
  auditVerifyCommand,
  describeVerification,
} from './audit-command.ts';
import { type FitArguments, type FitResult, fitCommand } from './fit-command.ts';
import { normalizeImageCommand } from './image-commands.ts';
import { describeArchiveInfo, infoArchiveCommand } from './info-archive-command.ts';
import { describeInfo, infoCommand } from './info-command.ts';
import {
  describeInstallation,
  type InstallCudaArguments,
  installCudaCommand,
} from './install-cuda-command.ts';
import { describeAll, type NormalizeAllArguments, normalizeAllCommand } from './normalize-all-command.ts';
import { describeOutcomes, isFailed, normalizeCommand } from './normalize-command.ts';
import { serveCommand } from './serve-command.ts';
import { type TemplateAddArguments, templateAddCommand } from './template-command.ts';
import { workerCommand } from './worker-command.ts';

/** 0 is done. */
const EXIT = { failed: 1, usage: 2, interrupted: 130 } as const;

/** How long what is left open may keep a process that is done, in milliseconds. */
const END_MS = 2000;

interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly device?: Config['device'];
}

/** What every command gets, made from the global options and closed after it. */
type Action<Result> = (composition: Composition, signal: AbortSignal) => Promise<Result>;

export function createProgram(): Command {
  const program = new Command('stain-normalization')
    .description(
      'Stain normalization of whole-slide images over DICOMweb. Research use only, not for primary diagnosis.',
    )
    .version(VERSION)
    .option('--config <file>', 'configuration file (JSON)')
    .option('--device <device>', 'auto, cpu, cuda or cuda:N')
    .option('--json', 'print the result, or the error, as JSON')
    .configureHelp({ showGlobalOptions: true })
    // Commander would end a wrong use with 1, as if the work had failed. Help and version end with 0.
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT.usage));

  const run = async <Result>(action: Action<Result>, describe: (result: Result) => string): Promise<void> => {
    const options = program.opts<GlobalOptions>();
    const interrupted = new AbortController();
    const interrupt = (): void => interrupted.abort();
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    try {
      const config = loadConfig({ file: options.config, env: process.env });
      await using composition = compose(options.device ? { ...config, device: options.device } : config);
      const result = await action(composition, interrupted.signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
    } catch (thrown) {
      reportError(toStainError(thrown), options.json ?? false);
      process.exitCode = interrupted.signal.aborted ? EXIT.interrupted : EXIT.failed;
    } finally {
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
      // A peer that is silent, a frozen database, does not close its connection: that keeps no process from ending.
      setTimeout(() => process.exit(), END_MS).unref();
    }
  };

  program
    .command('serve')
    .description('run the HTTP service, and the embedded archive where no other is configured')
    .action(() => run(asService(serveCommand), () => 'Stopped.'));

  program
    .command('worker')
    .description('work on the jobs of a service; both share database.url and dicomweb.url')
    .action(() => run(asService(workerCommand), () => 'Stopped.'));

  program
    .command('normalize <source> <destination>')
    .description('normalise one series from a DICOMweb URL or a folder to a DICOMweb URL or a folder')
    .requiredOption('--template <id>', 'template to move the stain onto')
    .option('--study <uid>', 'Study Instance UID; needed where the source holds several slides')
    .option('--series <uid>', 'Series Instance UID')
    .option('--slide <uid>', 'SOP Instance UID of an image of it: only this slide of a series of several')
    .option('--any-stain', 'normalise slides that are not H&E too; the derived header says so')
    .option('--model <name>', 'model', DEFAULT_MODEL)
    .addOption(transferOption())
    .addOption(encodingOption())
    .addOption(qualityOption())
    .action((source: string, destination: string, options: NormalizeOptions) =>
      run(
        async (composition, signal) => {
          const outcomes = await normalizeCommand({ source, destination, ...options }, composition, signal);
          if (outcomes.some(isFailed)) process.exitCode = EXIT.failed;
          // In JSON a list only where there is one.
          return outcomes.length === 1 ? outcomes[0]! : outcomes;
        },
        (result) => describeOutcomes([result].flat()),
      ),
    );

  program
    .command('normalize-all <source> <destination>')
    .description('normalise every slide of a DICOMweb URL or a folder; run again, it goes on where it was')
    .requiredOption('--template <id>', 'template to move the stain onto')
    .option('--query <Keyword=Value...>', 'only series that match, such as StudyDate=20260101-', [])
    .option('--report <file>', 'how each series went, as .csv or .json, written after each')
    .option('--any-stain', 'normalise slides that are not H&E too; the derived header says so')
    .option('--model <name>', 'model', DEFAULT_MODEL)
    .addOption(transferOption())
    .addOption(encodingOption())
    .addOption(qualityOption())
    .action(
      (source: string, destination: string, options: Omit<NormalizeAllArguments, 'source' | 'destination'>) =>
        run(async (composition, signal) => {
          const result = await normalizeAllCommand({ source, destination, ...options }, composition, signal);
          if (result.failed > 0) process.exitCode = EXIT.failed;
          return result;
        }, describeAll),
    );

  program
    .command('normalize-image <input> <output>')
    .description('normalise a PNG, JPEG or TIFF picture, to try the method')
    .requiredOption('--template <id or image>', 'template, or a picture to take the stain from')
    .option('--any-stain', 'normalise slides that are not H&E too; the derived header says so')
    .option('--model <name>', 'model', DEFAULT_MODEL)
    .addOption(transferOption())
    .action((input: string, output: string, options: PictureOptions) =>
      run(
        (composition, signal) => normalizeImageCommand({ input, output, ...options }, composition, signal),
        (result) =>
          [`Wrote ${result.output} (${result.width} x ${result.height}).`, ...result.notes].join('\n'),
      ),
    );

  program
    .command('fit <source>')
    .description(
      'the linear transfer of a slide or picture as numbers (--json), for normalising tiles elsewhere: scripts/normalize_tile.py',
    )
    .requiredOption('--template <id>', 'template to move the stain onto')
    .option('--study <uid>', 'Study Instance UID; needed where the source holds several slides')
    .option('--series <uid>', 'Series Instance UID')
    .option('--slide <uid>', 'SOP Instance UID of an image of the slide, for a series of several')
    .option('--any-stain', 'fit it although it is not H&E')
    .option('--model <name>', 'model', DEFAULT_MODEL)
    .action((source: string, options: Omit<FitArguments, 'source'>) =>
      run((composition, signal) => fitCommand({ source, ...options }, composition, signal), describeFit),
    );

  const template = program.command('template').description('work with templates');
  template
    .command('add <id> <source...>')
    .description(
      'make a template from pictures, from a series (a folder or DICOMweb URL), or from template files (.json); of several each counts alike',
    )
    .option('--name <text>', 'what the viewer shows; needed, but for a template file')
    .option('--licence <text>', 'licence of the source; needed, but for a template file')
    .option('--description <text>', 'more about it')
    .option('--provenance <text>', 'where the source is from; the file names when left out')
    .option('--study <uid>', 'Study Instance UID, for a series')
    .option('--series <uid>', 'Series Instance UID, for a series')
    .option('--slide <uid>', 'SOP Instance UID of an image of the slide, for a series of several')
    .option('--model <name>', 'model', DEFAULT_MODEL)
    .option('--any-stain', 'take it although it is not H&E')
    .option('--replace', 'replace a template of the same id', false)
    .option('--to <url>', 'root of a service that gets it, instead of the folder; with templates.token')
    .action((id: string, source: string[], options: Omit<TemplateAddArguments, 'id' | 'source'>) =>
      run(
        (composition, signal) => templateAddCommand({ id, source, ...options }, composition, signal),
        ({ template: { id }, place }) => `Template ${id} is at ${place}.`,
      ),
    );

  program
    .command('info')
    .description('show version, device, models and templates, or what an archive can')
    .option(
      '--archive [url]',
      'ask this archive, or that of dicomweb.url; ends with 1 where it cannot be used',
    )
    .action(({ archive }: { archive?: string | true }) =>
      archive === undefined
        ? run((composition) => infoCommand(composition), describeInfo)
        : run(async (composition, signal) => {
            const url = archive === true ? undefined : archive;
            const info = await infoArchiveCommand(url, composition, signal);
            if (!info.isUsable) process.exitCode = EXIT.failed;
            return info;
          }, describeArchiveInfo),
    );

  const audit = program.command('audit').description('work with the audit trail');
  audit
    .command('verify <file...>')
    .description('whether trails are whole; the files of each oldest first; ends with 1 where they are not')
    .option('--key-file <file>', 'key that sealed them (default: audit.keyFile); more than once', collect, [])
    .option('--anchors <file>', 'anchors, or messages of syslog (default: those in database.url)')
    .option('--partial', 'older files, and those of other processes, are elsewhere', false)
    .action((files: string[], options: Omit<AuditVerifyArguments, 'files'>) =>
      run(async ({ config }) => {
        const result = await auditVerifyCommand({ files, ...options }, config);
        if (!result.isWhole) process.exitCode = EXIT.failed;
        return result;
      }, describeVerification),
    );
  audit
    .command('anchors')
    .description('print the anchors in the database, one a line, to be kept elsewhere')
    .action(() =>
      run(
        ({ config }) => auditAnchorsCommand(config),
        (anchors) => anchors.map((anchor) => JSON.stringify(anchor)).join('\n'),
      ),
    );

  program
    .command('install-cuda')
    .description('put the CUDA libraries of ONNX Runtime in place, and tell what else CUDA needs')
    .option('--from <file>', 'wheel onnxruntime-gpu or NuGet package, for machines that reach no registry')
    .option('--check', 'change nothing, only check; ends with 1 where something is missing', false)
    .action((options: InstallCudaArguments) =>
      run(async () => {
        const result = await installCudaCommand(options);
        if (options.check && result.missing.length > 0) process.exitCode = EXIT.failed;
        return result;
      }, describeInstallation),
    );
  return program;
}

function describeFit({ matrix, intercept, glass, gain, notes }: FitResult): string {
  const numbers = (row: readonly number[]): string => row.map((value) => value.toFixed(4)).join('  ');
  return [
    'Optical density (R, G, B) of the result = that of the slide times',
    ...matrix.map((row) => `  ${numbers(row)}`),
    `plus ${numbers(intercept)}`,
    `Glass ${glass.density.toFixed(4)}, of which ${glass.kept.toFixed(4)} is kept; gain of the network's input ${gain.toFixed(2)}.`,
    ...notes,
    'The tables come with --json.',
  ].join('\n');
}

interface PictureOptions {
  readonly template: string;
  readonly model: string;
  readonly transfer: TransferName;
  readonly anyStain?: true;
}

interface NormalizeOptions extends PictureOptions {
  readonly study?: string;
  readonly series?: string;
  readonly slide?: string;
  readonly encoding?: OutputEncoding;
  readonly quality?: number;
}

/** Of an option that may be given more than once. */
function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function transferOption(): Option {
  return new Option(
    '--transfer <name>',
    'linear: one map of optical density; paper: class by class, as published',
  )
    .choices(TRANSFERS)
    .default(DEFAULT_TRANSFER);
}

function encodingOption(): Option {
  return new Option(
    '--encoding <name>',
    'jpeg, or lossless: htj2k, jpeg2000 (default: configuration)',
  ).choices(['jpeg', 'htj2k', 'jpeg2000']);
}

function qualityOption(): Option {
  return new Option('--quality <1-100>', 'JPEG quality (default: configuration)').argParser((text) => {
    const quality = Number(text);
    if (!Number.isInteger(quality) || quality < 1 || quality > 100)
      throw new InvalidArgumentError('A whole number from 1 to 100.');
    return quality;
  });
}

/** The words in which a service ends go to the log of its container, those of a command to the person who gave it. */
function asService(command: Action<void>): Action<void> {
  return (composition, signal) =>
    command(composition, signal).catch((thrown: unknown) => {
      const { code, message, data } = toStainError(thrown);
      throw new StainError(code, code === 'CONFIGURATION_INVALID' ? message : scrub(message), {
        data: code === 'CONFIGURATION_INVALID' ? { ...data } : {},
      });
    });
}

function reportError(error: StainError, json: boolean): void {
  if (json)
    process.stdout.write(
      `${JSON.stringify({ error: { code: error.code, message: error.message, remedy: error.remedy, data: error.data } })}\n`,
    );
  else process.stderr.write(`Error (${error.code}): ${error.message}\n${error.remedy}\n`);
}
