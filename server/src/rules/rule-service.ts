/**
 * Rules at work: one process at a time searches the archive for new series, and whatever matches a rule becomes a line
 * of the rule's batch, which `jobs/batch-service.ts` deals with: it waits until the slide has arrived, submits its job or
 * fits it, sets aside what cannot be read, and survives crashes. Whatever is seen twice is taken up once.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { type ErrorCode, StainError, toStainError } from '../../../core/src/errors.ts';
import type { Acceptances, AcceptedState } from '../acceptance/acceptances.ts';
import { SCANNER_TAGS, scannerKey, scannerName, scannerOf } from '../acceptance/scanner.ts';
import type { Config } from '../config.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { type BatchRequest, type Fault, faultOf, type Hold } from '../jobs/batch-records.ts';
import type { Database } from '../jobs/database.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import { type Arrival, keyOf, readHeader, searchArrivals, tagsOf } from './arrivals.ts';
import { openUntil } from './hours.ts';
import { type HeaderFacts, judge } from './match.ts';
import type { OrthancFeed } from './orthanc-changes.ts';
import type { Rule } from './rule.ts';
import { type DefinedRule, type Known, RuleRecords, type Watch } from './rule-records.ts';
import { ruleReports } from './rule-report.ts';
import { daysBefore, dicomDate, olderStudies, recentStudies } from './survey.ts';

/** A process that is silent for this long while it searches has lost its turn: longer than any one request. */
const LEASE_SECONDS = 150;
/** Series compared in one go. */
const CHUNK = 500;
/** Headers read in one search, because a rule compares what the archive does not return; the rest follow in the next. */
const HEADERS = 100;
/** Announcements looked up in one search, and how long one is kept that the archive does not confirm. */
const ANNOUNCED_AT_ONCE = 200;
const FIRST_ANNOUNCED = { study: '', series: '' };
const ANNOUNCED_HOURS = 24;
const MAX_ANNOUNCED = 100_000;
/** Delay before a header that could not be read is read again. Doubles each time, up to the maximum. */
const HEADER_RETRY_SECONDS = 60;
const MAX_HEADER_RETRY_SECONDS = 3600;
const MAX_UNREAD = 10_000;
/** The whole of time; nothing is kept open for longer than this without being looked at. */
const ALWAYS = new Date('9999-12-31T00:00:00Z');

export interface RuleServiceOptions {
  /** Name of the archive that is searched; undefined for the default one. */
  readonly archive?: string | undefined;
  /** Those for this archive. */
  readonly rules: readonly Rule[];
  /** Names of all rules, for whichever archive; default: of these. */
  readonly allNames?: readonly string[];
  readonly settings: Pick<Config['rules'], 'pollSeconds' | 'lookBackDays' | 'reachDays'>;
  readonly output: Config['output'];
  readonly database: Database;
  readonly client: Pick<DicomWebClient, 'searchSeries' | 'searchInstances' | 'retrieveHeader'>;
  readonly orthanc?: OrthancFeed | undefined;
  /** Without it, rules take up slides of every scanner. */
  readonly acceptances?: Pick<Acceptances, 'read'> | undefined;
  /** @throws TEMPLATE_NOT_FOUND, MODEL_NOT_FOUND and the like if a rule cannot be followed now */
  requireMeans(rule: Rule): Promise<RuleMeans>;
  /** For tests. */
  now?(): Date;
  /** New series of a rule were taken up. */
  onSeen?(rule: string, series: number): void;
  onSweep?(outcome: 'ok' | 'failed'): void;
  /** A fault of one search, or of one rule, by its code; told when it begins. */
  onTrouble?(facts: { readonly rule?: string; readonly code: string }): void;
  onFault(error: unknown): void;
}

/** What a rule works with, by the hashes of its content. */
export interface RuleMeans {
  readonly templateSha256: string;
  readonly modelSha256: string;
}

/** A rule as it stands during one search. */
interface Standing extends DefinedRule {
  readonly rule: Rule;
  /** Keys of the scanners whose slides it takes up; undefined for all. */
  readonly accepted: ReadonlySet<string> | undefined;
}

interface Unread {
  readonly attempts: number;
  readonly nextTryMs: number;
}

export class RuleService {
  readonly #options: RuleServiceOptions;
  readonly #records: RuleRecords;
  readonly #holder = randomUUID();
  readonly #end = new AbortController();
  /** The announcement that was searched for last. */
  #announcedBefore = FIRST_ANNOUNCED;
  /** Series whose headers could not be read. */
  readonly #unread = new LRUCache<string, Unread>({ max: MAX_UNREAD });
  /** Faults that were told. */
  #told = new Set<string>();
  #woken = Promise.withResolvers<void>();
  #isUrgent = false;
  readonly #done: Promise<void>;

  constructor(options: RuleServiceOptions) {
    this.#options = options;
    this.#records = new RuleRecords(options.database, options.archive);
    this.#done = this.#watch();
  }

  get names(): string[] {
    return this.#options.rules.map(({ name }) => name);
  }

  get #allNames(): readonly string[] {
    return this.#options.allNames ?? this.names;
  }

  /** Where the search stands, and every rule. */
  async report() {
    const [watch, status, accepted] = await Promise.all([
      this.#records.watchStatus(),
      this.#records.status(),
      this.#options.acceptances?.read(),
    ]);
    return ruleReports(this.#options.rules, watch, status, accepted, this.#now());
  }

  /** The series that a rule has taken up. @throws RULE_NOT_FOUND */
  async series(name: string, filter: Parameters<RuleRecords['page']>[1]): ReturnType<RuleRecords['page']> {
    this.#require(name);
    return this.#records.page(name, filter);
  }

  /** Another attempt at whatever was refused, failed or was cancelled. @returns how many series @throws RULE_NOT_FOUND */
  async retry(name: string): Promise<number> {
    this.#require(name);
    return this.#records.retry(name);
  }

  /**
   * Looks at these series, or all series of these studies, at once.
   * @throws RULE_NOT_FOUND without rules, QUEUE_FULL if too many announcements wait
   */
  async announce(
    series: readonly { readonly studyInstanceUid: string; readonly seriesInstanceUid?: string | undefined }[],
  ): Promise<void> {
    if (this.#options.rules.length === 0) throw new StainError('RULE_NOT_FOUND', 'The service has no rules.');
    if ((await this.#records.countAnnounced()) + series.length > MAX_ANNOUNCED)
      throw new StainError(
        'QUEUE_FULL',
        `${MAX_ANNOUNCED} announced series are already waiting to be examined.`,
      );
    const distinct = new Map(
      series.map(({ studyInstanceUid: study, seriesInstanceUid = '' }) => [
        `${study} ${seriesInstanceUid}`,
        { study, series: seriesInstanceUid },
      ]),
    );
    await this.#records.announce([...distinct.values()]);
    this.#isUrgent = true;
    this.#woken.resolve();
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.#woken.resolve();
    await this.#done;
    await this.#options.orthanc?.close();
  }

  #require(name: string): void {
    if (!this.names.includes(name)) throw new StainError('RULE_NOT_FOUND', `There is no rule "${name}".`);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#end;
    const { settings, database } = this.#options;
    const { pollSeconds } = settings;
    // Nobody else uses an embedded database: whoever held the search is gone.
    let isLeftover = database.embedded;
    while (!signal.aborted) {
      this.#woken = Promise.withResolvers();
      const isUrgent = this.#isUrgent;
      this.#isUrgent = false;
      try {
        if (this.#options.rules.length === 0) return await this.#records.suspendOthers(this.#allNames);
        if (isLeftover) await this.#records.release();
        isLeftover = false;
        const watch = await this.#records.lead(this.#holder, LEASE_SECONDS, pollSeconds, isUrgent);
        if (watch) await this.#sweep(watch);
      } catch (error) {
        // The database is away, or another process took over: this one begins again later.
        if (!signal.aborted) this.#options.onFault(error);
      }
      await this.#rest();
    }
  }

  async #sweep(found: Watch): Promise<void> {
    const { onSweep, onFault } = this.#options;
    const ruleFaults: Record<string, Fault> = {};
    const headers = { left: HEADERS };
    let fault: Fault | undefined;
    let watch = found;
    const save = async (change: Partial<Watch>): Promise<void> => {
      watch = { ...watch, ...change };
      await this.#records.saveWatch(this.#holder, watch);
    };
    const accepted = await this.#options.acceptances?.read();
    const standing = await this.#define(ruleFaults, accepted);
    const take = (arrivals: readonly Arrival[], isOld = false): Promise<void> =>
      this.#take(arrivals, standing, isOld, headers);
    // What one source lacks does not keep the others from being read.
    for (const read of [
      () => this.#survey(watch, take, save),
      () => this.#readAnnounced(take),
      () => this.#readChanges(watch, take, save),
      () => this.#search(watch, take, save),
    ]) {
      try {
        await this.#stay();
        await read();
      } catch (thrown) {
        if (this.#end.signal.aborted) break;
        const { code } = toStainError(thrown);
        if (code === 'DATABASE_UNAVAILABLE' || code === 'SHUTTING_DOWN') throw thrown;
        const found = faultOf(thrown, onFault);
        fault ??= found;
        // Without it, everything would seem new.
        if (watch.surveyedFrom === undefined) break;
      }
    }
    for (const one of standing) {
      await this.#records.takeUpOvertaken(one.batch);
      await this.#holdBack(one);
    }
    if (this.#end.signal.aborted)
      fault = { code: 'SHUTTING_DOWN' satisfies ErrorCode, message: 'The search was interrupted.' };
    await this.#records.leave(this.#holder, fault, ruleFaults, this.#unread.size);
    this.#tell(fault, ruleFaults);
    onSweep?.(fault ? 'failed' : 'ok');
  }

  /** Writes the rules down as they are now; a rule that cannot be followed keeps its series until it can. */
  async #define(faults: Record<string, Fault>, accepted: AcceptedState | undefined): Promise<Standing[]> {
    const { rules, output, requireMeans } = this.#options;
    const standing: Standing[] = [];
    for (const rule of rules) {
      const { name, template, model, transfer, encoding, quality, anyStain, enabled } = rule;
      const { source, destination } = rule;
      const request: BatchRequest = {
        template,
        model,
        transfer,
        encoding: encoding ?? output.encoding,
        quality: quality ?? output.quality,
        ...(anyStain && { anyStain }),
        ...(source !== undefined && { source }),
        ...(destination !== undefined && { destination }),
      };
      let until = enabled ? (rule.hours ? openUntil(rule.hours, this.#now()) : ALWAYS) : undefined;
      // Of a rule that cannot be followed, nothing is accepted.
      let scanners: ReadonlySet<string> | undefined =
        accepted && !rule.withoutAcceptance ? new Set() : undefined;
      try {
        const means = await requireMeans(rule);
        if (scanners) scanners = accepted!.scannersFor({ ...means, transfer });
      } catch (thrown) {
        if (toStainError(thrown).code === 'DATABASE_UNAVAILABLE') throw thrown;
        faults[name] = faultOf(thrown, this.#options.onFault);
        until = undefined;
      }
      const defined = await this.#records.define(randomUUID(), rule, request, until);
      if (!enabled) continue;
      await this.#records.letGo(defined.batch, scanners && [...scanners]);
      const one = { ...defined, rule, accepted: scanners };
      await this.#holdBack(one);
      standing.push(one);
    }
    await this.#records.suspendOthers(this.#allNames);
    return standing;
  }

  /** What was taken up may have no acceptance any more: withdrawn, or of a template or model that was replaced. */
  async #holdBack({ batch, accepted }: Standing): Promise<void> {
    if (!accepted) return;
    let last: SeriesReference | undefined = { studyInstanceUid: '', seriesInstanceUid: '' };
    while (last) {
      const series: SeriesReference[] = await this.#records.inLine(batch, CHUNK, last);
      const known = await this.#records.known(series);
      for (const one of series) {
        const { header = {} } = known.get(keyOf(one)) ?? {};
        // Taken up before acceptances were asked for.
        if (!tellsScanner(header)) continue;
        const hold = holdOf(header, accepted);
        if (hold) await this.#records.hold(batch, one, hold);
      }
      last = series.length === CHUNK ? series.at(-1) : undefined;
    }
  }

  /** What is in the archive before the first rule, or within a longer reach, is not new. */
  async #survey(
    { surveyedFrom }: Watch,
    take: (arrivals: readonly Arrival[], isOld: boolean) => Promise<void>,
    save: (change: Partial<Watch>) => Promise<void>,
  ): Promise<void> {
    const { settings, orthanc } = this.#options;
    const today = dicomDate(this.#now());
    const from = daysBefore(today, settings.reachDays);
    if (surveyedFrom !== undefined && surveyedFrom <= from) return;
    // Whatever changes from here on is read later.
    const changesAfter = surveyedFrom === undefined ? await orthanc?.newest(this.#end.signal) : undefined;
    for (const StudyDate of [recentStudies(today, settings), ...olderStudies(today, settings)]) {
      // Of a longer reach, only what lies beyond the first one.
      if (surveyedFrom !== undefined && StudyDate.slice(0, 8) >= surveyedFrom) continue;
      const arrivals = await this.#found({ StudyDate });
      await take(
        surveyedFrom === undefined
          ? arrivals
          : arrivals.filter(({ studyDate }) => (studyDate ?? surveyedFrom) < surveyedFrom),
        true,
      );
    }
    await save({ surveyedFrom: from, ...(changesAfter !== undefined && { changesAfter }) });
  }

  async #readAnnounced(take: (arrivals: readonly Arrival[]) => Promise<void>): Promise<void> {
    // Announcements are of the default archive.
    if (this.#options.archive !== undefined) return;
    // Many may wait for a slide that never comes: each search goes on behind the one before, and at the end from the start.
    const announced = await this.#records.announced(ANNOUNCED_AT_ONCE, this.#announcedBefore);
    let fault: unknown;
    for (const { study, series, announced_at } of announced) {
      this.#announcedBefore = { study, series };
      const isOver = this.#now().getTime() - announced_at.getTime() > ANNOUNCED_HOURS * 3_600_000;
      const one = await this.#lookFor(
        { StudyInstanceUID: study, ...(series !== '' && { SeriesInstanceUID: series }) },
        take,
      );
      fault ??= one.fault;
      // An announcement may be faster than the archive.
      if (one.isFound || isOver) await this.#records.forgetAnnounced(study, series, announced_at);
    }
    if (announced.length < ANNOUNCED_AT_ONCE) this.#announcedBefore = FIRST_ANNOUNCED;
    if (fault !== undefined) throw fault;
  }

  /**
   * Takes up one series or study that something has named.
   * @returns the fault of that one alone: it must not keep others from their turn
   */
  async #lookFor(
    parameters: Parameters<typeof searchArrivals>[1],
    take: (arrivals: readonly Arrival[]) => Promise<void>,
  ): Promise<{ readonly isFound: boolean; readonly fault?: unknown }> {
    try {
      const arrivals = await this.#found(parameters);
      await take(arrivals);
      return { isFound: arrivals.length > 0 };
    } catch (fault) {
      const { code, isTransient } = toStainError(fault);
      const isOurs = code === 'DATABASE_UNAVAILABLE' || code === 'SHUTTING_DOWN';
      if (this.#end.signal.aborted || isTransient || isOurs) throw fault;
      return { isFound: false, fault };
    }
  }

  async #readChanges(
    { changesAfter }: Watch,
    take: (arrivals: readonly Arrival[]) => Promise<void>,
    save: (change: Partial<Watch>) => Promise<void>,
  ): Promise<void> {
    const { orthanc } = this.#options;
    if (!orthanc) return;
    const { signal } = this.#end;
    // Orthanc was named later than the first rule: from now on.
    if (changesAfter === undefined) return save({ changesAfter: await orthanc.newest(signal) });
    const { series, last } = await orthanc.since(changesAfter, signal);
    let fault: unknown;
    for (const SeriesInstanceUID of series) {
      const one = await this.#lookFor({ SeriesInstanceUID }, take);
      fault ??= one.fault;
    }
    // One that cannot be searched for is left to the search by dates.
    await save({ changesAfter: last });
    if (fault !== undefined) throw fault;
  }

  async #search(
    { slice }: Watch,
    take: (arrivals: readonly Arrival[]) => Promise<void>,
    save: (change: Partial<Watch>) => Promise<void>,
  ): Promise<void> {
    const { settings } = this.#options;
    const today = dicomDate(this.#now());
    await take(await this.#found({ StudyDate: recentStudies(today, settings) }));
    const older = olderStudies(today, settings);
    const StudyDate = older[slice % older.length];
    if (StudyDate !== undefined) await take(await this.#found({ StudyDate }));
    await save({ slice: older.length === 0 ? 0 : (slice + 1) % older.length });
  }

  async #found(parameters: Parameters<typeof searchArrivals>[1]): Promise<Arrival[]> {
    const { client, rules } = this.#options;
    await this.#stay();
    return searchArrivals(client, parameters, rules, this.#end.signal);
  }

  async #take(
    arrivals: readonly Arrival[],
    standing: readonly Standing[],
    isOld: boolean,
    headers: { left: number },
  ): Promise<void> {
    for (let at = 0; at < arrivals.length; at += CHUNK) {
      const chunk = arrivals.slice(at, at + CHUNK);
      const uids = chunk.map(({ seriesInstanceUid }) => seriesInstanceUid);
      const known = await this.#records.known(chunk);
      const fresh = chunk.filter((arrival) => !known.has(keyOf(arrival)));
      if (fresh.length > 0) {
        await this.#records.addKnown(fresh, isOld);
        for (const [key, seen] of await this.#records.known(fresh)) known.set(key, seen);
      }
      for (const { rule, batch, seenAfter, accepted } of standing) {
        const lines = await this.#records.lines(batch, uids);
        const matching: Arrival[] = [];
        const holds = new Map<string, Hold>();
        for (const arrival of chunk) {
          const line = lines.get(keyOf(arrival));
          const seen = known.get(keyOf(arrival))!;
          if (line) {
            const hasChanged =
              arrival.instances !== undefined && line.instances >= 0 && arrival.instances !== line.instances;
            if (hasChanged && !line.isOpen) await this.#records.takeUpAgain(batch, arrival);
          } else if (isNewTo(rule, seenAfter, arrival, seen)) {
            const header = await this.#headerFor(rule, arrival, seen, headers, accepted !== undefined);
            // If the scanner is not known yet, the next search tells.
            if (judge(rule, arrival.json, header).isMatch && (!accepted || tellsScanner(header))) {
              matching.push(arrival);
              const hold = accepted && holdOf(header, accepted);
              if (hold) holds.set(keyOf(arrival), hold);
            }
            // The other rules compare with what was read.
            known.set(keyOf(arrival), { ...seen, header });
          }
        }
        if (matching.length === 0) continue;
        const count = await this.#records.takeUp(batch, matching, holds);
        this.#options.onSeen?.(rule.name, count);
      }
    }
  }

  /**
   * What is known of the header; it is read if the rule cannot be decided without it.
   * @param needsScanner a slide that matches also needs to tell its scanner
   */
  async #headerFor(
    rule: Rule,
    arrival: Arrival,
    { header }: Known,
    budget: { left: number },
    needsScanner: boolean,
  ): Promise<HeaderFacts> {
    const { isMatch } = judge(rule, arrival.json, header);
    if (isMatch === false || (isMatch && (!needsScanner || tellsScanner(header)))) return header;
    const key = keyOf(arrival);
    const unread = this.#unread.get(key);
    const now = this.#now().getTime();
    if (budget.left === 0 || (unread && now < unread.nextTryMs)) return header;
    budget.left--;
    const { client, rules } = this.#options;
    try {
      await this.#stay();
      const tags = [...new Set([...tagsOf(rules), ...(needsScanner ? SCANNER_TAGS : [])])];
      const told = await readHeader(client, arrival, tags, this.#end.signal);
      await this.#records.keepHeader(arrival, told);
      this.#unread.delete(key);
      return { ...header, ...told };
    } catch (thrown) {
      const { code } = toStainError(thrown);
      if (this.#end.signal.aborted || code === 'DATABASE_UNAVAILABLE') throw thrown;
      if (code === 'INTERNAL') this.#options.onFault(thrown);
      const attempts = (unread?.attempts ?? 0) + 1;
      const seconds = Math.min(HEADER_RETRY_SECONDS * 2 ** (attempts - 1), MAX_HEADER_RETRY_SECONDS);
      this.#unread.set(key, { attempts, nextTryMs: now + seconds * 1000 });
      return header;
    }
  }

  /** @throws SHUTTING_DOWN if this process is stopping, or another has taken over */
  async #stay(): Promise<void> {
    if (!this.#end.signal.aborted && (await this.#records.stay(this.#holder, LEASE_SECONDS))) return;
    throw new StainError('SHUTTING_DOWN', 'Another process searches for new slides now.');
  }

  /** Each fault once, when it begins. */
  #tell(fault: Fault | undefined, ruleFaults: Readonly<Record<string, Fault>>): void {
    const now = new Set<string>();
    const tell = (code: string, rule?: string): void => {
      const key = `${rule ?? ''} ${code}`;
      now.add(key);
      if (!this.#told.has(key)) this.#options.onTrouble?.({ ...(rule !== undefined && { rule }), code });
    };
    if (fault && fault.code !== 'SHUTTING_DOWN') tell(fault.code);
    for (const [rule, { code }] of Object.entries(ruleFaults)) tell(code, rule);
    this.#told = now;
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date();
  }

  async #rest(): Promise<void> {
    const over = new AbortController();
    const ms = this.#options.settings.pollSeconds * 1000;
    const polled = pause(ms, undefined, { signal: over.signal, ref: false }).catch(() => {});
    await Promise.race([this.#woken.promise, polled]);
    over.abort();
  }
}

function tellsScanner(header: HeaderFacts): boolean {
  return SCANNER_TAGS.every((tag) => header[tag] !== undefined);
}

/** Why a slide is held back; undefined if it is not. */
function holdOf(header: HeaderFacts, accepted: ReadonlySet<string>): Hold | undefined {
  const scanner = scannerOf(header);
  const key = scannerKey(scanner);
  if (accepted.has(key)) return undefined;
  const name = scannerName(scanner);
  return {
    code: 'SCANNER_NOT_ACCEPTED' satisfies ErrorCode,
    message: `The scanner has no acceptance for this template, model and transfer: ${name}.`,
    scanner: key,
    name,
  };
}

function isNewTo(
  { since }: Rule,
  seenAfter: number,
  { studyDate }: Arrival,
  { isOld, sequence }: Known,
): boolean {
  if (since !== undefined && studyDate !== undefined && studyDate >= since.replaceAll('-', '')) return true;
  return !isOld && sequence > seenAfter;
}
