/** Progress on stderr: on a terminal one line that is rewritten, on a pipe one line per stage. */
import type { Progress, Stage } from '../../../core/src/contract/index.ts';

const WIDTH = 24;
const STAGE_TEXT: Record<Stage, string> = {
  open: 'Opening',
  fetch: 'Fetching',
  fit: 'Fitting the stain',
  normalize: 'Normalising',
  store: 'Storing',
  verify: 'Verifying',
};

export interface ProgressBar {
  update(progress: Progress): void;
  finish(): void;
}

export function createProgressBar(stream: NodeJS.WriteStream): ProgressBar {
  let stage: Stage | undefined;
  let drawn = 0;
  return {
    update(progress) {
      if (!stream.isTTY) {
        if (progress.stage !== stage) stream.write(`${STAGE_TEXT[progress.stage]} ...\n`);
        stage = progress.stage;
        return;
      }
      const now = performance.now();
      if (progress.stage === stage && now - drawn < 100) return;
      stage = progress.stage;
      drawn = now;
      stream.write(`\r\u001b[K${formatProgress(progress)}`);
    },
    finish() {
      if (stream.isTTY) stream.write('\r\u001b[K');
    },
  };
}

export function formatProgress(progress: Progress): string {
  const filled = Math.round(progress.fraction * WIDTH);
  const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled);
  const parts = [
    `${bar} ${String(Math.round(progress.fraction * 100)).padStart(3)} %  ${STAGE_TEXT[progress.stage]}`,
  ];
  if (progress.megapixelsPerSecond !== undefined)
    parts.push(`${progress.megapixelsPerSecond.toFixed(2)} Mpx/s`);
  if (progress.secondsLeft !== undefined) parts.push(`${formatDuration(progress.secondsLeft)} left`);
  return parts.join('  ');
}

export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
