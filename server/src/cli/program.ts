/**
 * The command line: arguments in, exit code out. Each command has a file of its own. Those that need a database, or are rare,
 * are loaded when they run: loading them takes a fifth of the time in which every command starts.
 */

import { Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import { rejectionReason } from '../../../core/src/contract/index.ts';
import { OUTPUT_ENCODINGS, type OutputEncoding } from '../../../core/src/contract/output.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { DEFAULT_TRANSFER, TRANSFERS, type TransferName } from '../../../core/src/stain/transfer-name.ts';
import { DECISIONS } from '../acceptance/document.ts';
import { type Config, loadConfig } from '../config.ts';
import { scrub } from '../http/scrub.ts';
import { type Composition, compose, VERSION } from '../wiring/composition.ts';
import { type AcceptanceArguments, acceptanceCommand, describeAcceptance } from './acceptance-command.ts';
import { describeSigned, type SignArguments, signCommand } from './acceptance-sign-command.ts';
import type { AuditVerifyArguments } from './audit-command.ts';
import { collectAtOnce } from './collect-at-once.ts';
import { type CorrectionsArguments, correctionsCommand, describeCorrections } from './corrections-command.ts';
import { type FitArguments, type FitResult, fitCommand } from './fit-command.ts';
import { normalizeImageCommand } from './image-commands.ts';
import { describeArchiveInfo, infoArchiveCommand } from './info-archive-command.ts';
import { describeInfo, infoCommand } from './info-command.ts';
import type { InstallCudaArguments } from './install-cuda-command.ts';
import { describeAll, type NormalizeAllArguments, normalizeAllCommand } from './normalize-all-command.ts';
import { describeOutcomes, isFailed, normalizeCommand } from './normalize-command.ts';
import { describeRejection, type RejectArguments, rejectCommand } from './reject-command.ts';
import type { RulesArguments } from './rules-command.ts';
import type { TemplateAddArguments } from './template-command.ts';
import { terminalText } from './terminal-text.ts';

/** 0 means success. */
const EXIT = { failed: 1, usage: 2, interrupted: 130 } as const;

/** The remedy of CANCELLED is for jobs, and a command has none. */
const INTERRUPTED =
  'Give the same command again: normalize and normalize-all continue where they stopped, others begin anew.';

/** How long open handles may keep a finished process alive, in milliseconds. */
const END_MS = 2000;

interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly device?: Config['device'];
}

/** What every command receives, created from the global options and closed after it. */
type Action<Result> = (composition: Composition, signal: AbortSignal) => Promise<Result>;

/** Runs a command with its composition, and prints its result as text or as JSON. */
type Run = <Result>(action: Action<Result>, describe: (result: Result) => string) => Promise<void>;

export function createProgram(): Command {
  const program = new Command('stain-normalization')
    .description(
      'Stain normalization of whole-slide images over DICOMweb. Research use only, not for primary diagnosis.',
    )
    .version(VERSION)
    .option('--config <file>', 'configuration file (JSON)')
    .option('--device <device>', 'auto, cpu, cuda or cuda:N', deviceName)
    .option('--json', 'print the result, or the error, as JSON')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(--help lists commands, options and their values)')
    // Commander would exit with 1 on wrong usage, as if the work had failed. Help and version exit with 0.
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT.usage));

  // Whoever reads the output may go away (`| head`): the work goes on, and needs no stack trace.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });

  const run: Run = async (action, describe) => {
    const options = program.opts<GlobalOptions>();
    const interrupted = new AbortController();
    const interrupt = (): void => interrupted.abort();
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    try {
      const config = loadConfig({ file: options.config, env: process.env });
      await using composition = compose(options.device ? { ...config, device: options.device } : config);
      const result = await action(composition, interrupted.signal);
      process.stdout.write(`${options.json ? JSON.stringify(result) : terminalText(describe(result))}\n`);
    } catch (thrown) {
      const error = toStainError(thrown);
      const isInterrupted = interrupted.signal.aborted && error.code === 'CANCELLED';
      reportError(error, options.json ?? false, isInterrupted ? INTERRUPTED : error.remedy);
      process.exitCode = interrupted.signal.aborted ? EXIT.interrupted : EXIT.failed;
    } finally {
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
      // A silent peer or a frozen database does not close its connection; that must not keep the process from ending.
      setTimeout(() => process.exit(), END_MS).unref();
    }
  };

  addProcesses(program, run);
  addNormalize(program, run);
  addNormalizeAll(program, run);
  addPictures(program, run);
  addFit(program, run);
  addRules(program, run);
  addAcceptance(program, run);
  addResults(program, run);
  addTemplates(program, run);
  addInfo(program, run);
  addAudit(program, run);
  addInstallCuda(program, run);
  return program;
}

function addProcesses(program: Command, run: Run): void {
  program
    .command('serve')
    .description('run the HTTP service, with the embedded archive if no other is configured')
    .action(async () => {
      const { serveCommand } = await import('./serve-command.ts');
      return run(asService(serveCommand), () => 'Stopped.');
    });

  program
    .command('worker')
    .description('run the jobs of a service; both share database.url and dicomweb.url')
    .action(async () => {
      collectAtOnce();
      const { workerCommand } = await import('./worker-command.ts');
      return run(asService(workerCommand), () => 'Stopped.');
    });
}

function addNormalize(program: Command, run: Run): void {
  program
    .command('normalize <source> <destination>')
    .description(
      'normalise one series from one archive to another: each a DICOMweb URL, a folder, or a name in the configuration (archives)',
    )
    .requiredOption('--template <id>', 'template with the target stain; "info" lists them')
    .option('--study <uid>', 'Study Instance UID; needed if the source has several slides')
    .option('--series <uid>', 'Series Instance UID')
    .option(
      '--slide <uid>',
      'SOP Instance UID of any image of the slide: normalise only this slide of the series',
    )
    .option('--any-stain', 'normalise slides that are not H&E too; the derived header says so')
    .option('--model <name>', 'model; "info" lists them', DEFAULT_MODEL)
    .addOption(transferOption())
    .addOption(encodingOption())
    .addOption(qualityOption())
    .action((source: string, destination: string, options: NormalizeOptions) =>
      run(
        async (composition, signal) => {
          collectAtOnce();
          const outcomes = await normalizeCommand({ source, destination, ...options }, composition, signal);
          if (outcomes.some(isFailed)) process.exitCode = EXIT.failed;
          // A list in JSON only if there are several.
          return outcomes.length === 1 ? outcomes[0]! : outcomes;
        },
        (result) => describeOutcomes([result].flat()),
      ),
    );
}

function addNormalizeAll(program: Command, run: Run): void {
  program
    .command('normalize-all <source> <destination>')
    .description(
      'normalise every slide of an archive (URL, folder or name); a repeated run continues where it stopped',
    )
    .requiredOption('--template <id>', 'template with the target stain; "info" lists them')
    .option('--query <Keyword=Value...>', 'only series that match, such as StudyDate=20260101-', [])
    .option('--report <file>', 'outcome of each series, as .csv or .json, updated after each')
    .option('--any-stain', 'normalise slides that are not H&E too; the derived header says so')
    .option('--model <name>', 'model; "info" lists them', DEFAULT_MODEL)
    .addOption(transferOption())
    .addOption(encodingOption())
    .addOption(qualityOption())
    .action(
      (source: string, destination: string, options: Omit<NormalizeAllArguments, 'source' | 'destination'>) =>
        run(async (composition, signal) => {
          collectAtOnce();
          const result = await normalizeAllCommand({ source, destination, ...options }, composition, signal);
          if (result.failed > 0) process.exitCode = EXIT.failed;
          return result;
        }, describeAll),
    );
}

function addPictures(program: Command, run: Run): void {
  program
    .command('normalize-image <input> <output>')
    .description('normalise a PNG, JPEG or TIFF picture, to try the method')
    .requiredOption(
      '--template <id or image>',
      'template ("info" lists them), or a picture with the target stain',
    )
    .option('--any-stain', 'normalise slides that are not H&E too; the derived header says so')
    .option('--model <name>', 'model; "info" lists them', DEFAULT_MODEL)
    .addOption(transferOption())
    .action((input: string, output: string, options: PictureOptions) =>
      run(
        (composition, signal) => normalizeImageCommand({ input, output, ...options }, composition, signal),
        (result) =>
          [`Wrote ${result.output} (${result.width} x ${result.height}).`, ...result.notes].join('\n'),
      ),
    );
}

function addFit(program: Command, run: Run): void {
  program
    .command('fit <source>')
    .description(
      'the linear transfer of a slide or picture as numbers (--json), for normalising tiles elsewhere: scripts/normalize_tile.py',
    )
    .requiredOption('--template <id>', 'template with the target stain; "info" lists them')
    .option('--study <uid>', 'Study Instance UID; needed if the source has several slides')
    .option('--series <uid>', 'Series Instance UID')
    .option('--slide <uid>', 'SOP Instance UID of any image of the slide, if the series has several')
    .option('--any-stain', 'fit it even if it is not H&E')
    .option('--model <name>', 'model; "info" lists them', DEFAULT_MODEL)
    .action((source: string, options: Omit<FitArguments, 'source'>) =>
      run((composition, signal) => fitCommand({ source, ...options }, composition, signal), describeFit),
    );
}

function addRules(program: Command, run: Run): void {
  program
    .command('rules')
    .description('check the rules in rules.file; with --dry-run, list what they would pick up')
    .option('--dry-run', 'compare the series of the archive with the rules; nothing is changed', false)
    .option('--days <number>', 'studies of this many days, by Study Date', upTo(36_500), 7)
    .action(async (options: RulesArguments) => {
      const { rulesCommand, describeRules } = await import('./rules-command.ts');
      return run((composition, signal) => rulesCommand(options, composition, signal), describeRules);
    });
}

function addAcceptance(program: Command, run: Run): void {
  const acceptance = program
    .command('acceptance')
    .description('what a site needs to accept the normalisation, scanner by scanner');
  acceptance
    .command('make <source>', { isDefault: true })
    .description(
      'fit some slides of each scanner of a folder or DICOMweb URL, and write a page to sign; nothing is stored in the archive',
    )
    .requiredOption('--template <id>', 'template with the target stain; "info" lists them')
    .option('--per-scanner <number>', 'slides of each scanner', upTo(200), 20)
    .option('--seed <number>', 'another seed draws other slides', upTo(1_000_000), 1)
    .option('--query <Keyword=Value...>', 'only series that match, such as StudyDate=20260101-', [])
    .option('--baseline <file>', 'acceptance.json of the first month, to tell drift')
    .option('--out <folder>', 'new folder for the result (default: acceptance- and the date)')
    .option('--model <name>', 'model; "info" lists them', DEFAULT_MODEL)
    .addOption(transferOption())
    .action((source: string, options: Omit<AcceptanceArguments, 'source'>) =>
      run(async (composition, signal) => {
        const result = await acceptanceCommand({ source, ...options }, composition, signal);
        if (result.document.content.scanners.some(({ failed }) => failed > 0)) process.exitCode = EXIT.failed;
        return result;
      }, describeAcceptance),
    );
  acceptance
    .command('sign <file>')
    .description('record the decision in acceptance.json; what is changed later is noticed')
    .requiredOption('--name <text>', 'who decides')
    .requiredOption('--role <text>', 'such as "consultant pathologist"')
    .addOption(new Option('--decision <word>', 'of the scanners').choices(DECISIONS).makeOptionMandatory())
    .option('--scanner <number...>', 'only these scanners, by their numbers on the page', numbers, [])
    .option('--remarks <text>', 'conditions, or why not')
    .action((file: string, options: Omit<SignArguments, 'file'>) =>
      run(() => signCommand({ file, ...options }), describeSigned),
    );
}

function addResults(program: Command, run: Run): void {
  program
    .command('corrections <archive>')
    .description('list results in a study whose slide has another patient, accession or study by now')
    .requiredOption('--study <uid>', 'Study Instance UID')
    .option('--source <archive>', 'archive of the slides (default: the same)')
    .action((archive: string, options: Omit<CorrectionsArguments, 'archive'>) =>
      run(
        (composition, signal) => correctionsCommand({ archive, ...options }, composition, signal),
        describeCorrections,
      ),
    );
  program
    .command('reject <archive>')
    .description('reject a result by a Key Object Selection in its study; nothing is deleted')
    .requiredOption('--study <uid>', 'Study Instance UID')
    .requiredOption('--series <uid>', 'Series Instance UID of the result')
    .addOption(
      new Option('--reason <name>', 'why: title of the Key Object Selection')
        .choices(rejectionReason.options)
        .default('quality'),
    )
    .action((archive: string, options: Omit<RejectArguments, 'archive'>) =>
      run(
        (composition, signal) => rejectCommand({ archive, ...options }, composition, signal),
        describeRejection,
      ),
    );
}

function addTemplates(program: Command, run: Run): void {
  const template = program.command('template').description('work with templates');
  template
    .command('add <id> <source...>')
    .description(
      'make a template from pictures, from a series (a folder or DICOMweb URL), or from template files (.json); several sources count equally',
    )
    .option('--name <text>', 'name shown in the viewer; required except for a template file')
    .option('--licence <text>', 'licence of the source; required except for a template file')
    .option('--description <text>', 'further description')
    .option('--provenance <text>', 'origin of the source; default: the file names')
    .option('--study <uid>', 'Study Instance UID, for a series')
    .option('--series <uid>', 'Series Instance UID, for a series')
    .option('--slide <uid>', 'SOP Instance UID of any image of the slide, if the series has several')
    .option('--model <name>', 'model; "info" lists them', DEFAULT_MODEL)
    .option('--any-stain', 'accept it even if it is not H&E')
    .option('--replace', 'replace a template with the same id', false)
    .option(
      '--to <url>',
      'send it to the service at this root URL, with templates.token, instead of the folder',
    )
    .action(async (id: string, source: string[], options: Omit<TemplateAddArguments, 'id' | 'source'>) => {
      const { templateAddCommand } = await import('./template-command.ts');
      return run(
        (composition, signal) => templateAddCommand({ id, source, ...options }, composition, signal),
        ({ template: { id }, place }) => `Template ${id} is at ${place}.`,
      );
    });
}

function addInfo(program: Command, run: Run): void {
  program
    .command('info')
    .description('show version, device, models and templates, or what an archive supports')
    .option(
      '--archive [url or name]',
      'check this archive, or that of dicomweb.url; exits with 1 if it cannot be used',
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
}

function addAudit(program: Command, run: Run): void {
  const audit = program.command('audit').description('work with the audit trail');
  audit
    .command('verify <file...>')
    .description('verify that trails are complete; oldest file of each first; exits with 1 if not')
    .option(
      '--key-file <file>',
      'key that sealed them (default: audit.keyFile); may be repeated',
      collect,
      [],
    )
    .option('--anchors <file>', 'anchors, or syslog messages (default: the anchors in database.url)')
    .option('--partial', 'older files, and those of other processes, are elsewhere', false)
    .action(async (files: string[], options: Omit<AuditVerifyArguments, 'files'>) => {
      const { auditVerifyCommand, describeVerification } = await import('./audit-command.ts');
      return run(async ({ config }) => {
        const result = await auditVerifyCommand({ files, ...options }, config);
        if (!result.isWhole) process.exitCode = EXIT.failed;
        return result;
      }, describeVerification);
    });
  audit
    .command('anchors')
    .description('print the anchors in the database, one per line, to be kept elsewhere')
    .action(async () => {
      const { auditAnchorsCommand } = await import('./audit-command.ts');
      return run(
        ({ config }) => auditAnchorsCommand(config),
        (anchors) => anchors.map((anchor) => JSON.stringify(anchor)).join('\n'),
      );
    });
}

function addInstallCuda(program: Command, run: Run): void {
  program
    .command('install-cuda')
    .description('install the CUDA libraries of ONNX Runtime, and list what else CUDA needs')
    .option(
      '--from <file>',
      'wheel onnxruntime-gpu or NuGet package, for machines without access to a registry',
    )
    .option('--check', 'only check, change nothing; exits with 1 if something is missing', false)
    .action(async (options: InstallCudaArguments) => {
      const { installCudaCommand, describeInstallation } = await import('./install-cuda-command.ts');
      return run(async () => {
        const result = await installCudaCommand(options);
        if (options.check && result.missing.length > 0) process.exitCode = EXIT.failed;
        return result;
      }, describeInstallation);
    });
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

function deviceName(text: string): Config['device'] {
  if (!/^(auto|cpu|cuda(:\d+)?)$/.test(text))
    throw new InvalidArgumentError('Must be auto, cpu, cuda or cuda:N.');
  return text as Config['device'];
}

/** Parser of whole numbers from 1. */
function upTo(max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < 1 || number > max)
      throw new InvalidArgumentError(`Must be a whole number from 1 to ${max}.`);
    return number;
  };
}

function numbers(text: string, before: readonly number[]): number[] {
  return [...before, upTo(100)(text)];
}

/** Collects the values of an option that may be repeated. */
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
  ).choices(OUTPUT_ENCODINGS);
}

function qualityOption(): Option {
  return new Option('--quality <1-100>', 'JPEG quality (default: configuration)').argParser((text) => {
    const quality = Number(text);
    if (!Number.isInteger(quality) || quality < 1 || quality > 100)
      throw new InvalidArgumentError('Must be a whole number from 1 to 100.');
    return quality;
  });
}

/** Final messages of a service go to its log, those of a command to the user. */
function asService(command: Action<void>): Action<void> {
  return (composition, signal) =>
    command(composition, signal).catch((thrown: unknown) => {
      const { code, message, data } = toStainError(thrown);
      throw new StainError(code, code === 'CONFIGURATION_INVALID' ? message : scrub(message), {
        data: code === 'CONFIGURATION_INVALID' ? { ...data } : {},
      });
    });
}

function reportError({ code, message, data }: StainError, json: boolean, remedy: string): void {
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, remedy, data } })}\n`);
  else process.stderr.write(terminalText(`Error (${code}): ${message}\n${remedy}\n`));
}
