/** The language of the viewer, and numbers in it. */

/** OHIF 3.13 (i18next) keeps it here: from `?lng=`, a user's preference or the browser. It reloads the page to change it. */
const KEPT = 'i18nextLng';

function languageOfViewer(): string {
  const known = [kept(), navigator.language].filter((one) => one !== null);
  return known.find(isLanguage) ?? 'en';
}

/** A page may be forbidden to keep anything. */
function kept(): string | null {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** The viewer also has names that are no language, for tests of its own. */
function isLanguage(name: string): boolean {
  try {
    return Intl.NumberFormat.supportedLocalesOf(name).length > 0;
  } catch {
    return false;
  }
}

/** As in BCP 47. */
export const language = languageOfViewer();

const number = new Intl.NumberFormat(language);
const percent = new Intl.NumberFormat(language, { style: 'percent' });
const tenths = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });

export function formatCount(value: number): string {
  return number.format(value);
}

/** @param fraction 0 to 1 */
export function formatPercent(fraction: number): string {
  return percent.format(fraction);
}

export function formatSeconds(seconds: number): string {
  return (seconds < 10 ? tenths : whole).format(seconds);
}

/** Making a format takes much longer than using it, and colours under the pointer are written with every frame. */
const decimals = new Map<number, Intl.NumberFormat>();

export function formatDecimal(value: number, digits: number): string {
  const format =
    decimals.get(digits) ??
    new Intl.NumberFormat(language, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      // No minus before a zero.
      signDisplay: 'negative',
    });
  decimals.set(digits, format);
  return format.format(value);
}
