import { css } from 'lit';

/** OHIF's dark theme; every text has a contrast of at least 4.5 to its ground. */
export const styles = css`
  :host { display: block; height: 100%; overflow-y: auto; box-sizing: border-box; padding: 4px 12px 12px; background: #050615; color: #fff; font: 13px/1.45 Inter, Arial, sans-serif; }
  section { border-bottom: 1px solid #26305c; padding: 8px 0; }
  h2 { margin: 4px 0 6px; font-size: 13px; font-weight: 600; color: #8fd8ee; }
  p { margin: 4px 0; overflow-wrap: anywhere; }
  .muted { color: #b9c2dd; }
  .warning { color: #ffd166; }
  .row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
  button { font: inherit; color: #fff; background: #1c2a5e; border: 1px solid #4763b8; border-radius: 4px; padding: 6px 8px; cursor: pointer; }
  button:hover:not(:disabled) { background: #2a3c80; }
  button.primary { background: #1a5fd0; border-color: #8ab8ff; }
  button[aria-pressed='true'], button[aria-pressed='true']:hover:not(:disabled) { background: #cfe9ff; color: #06122e; border-color: #fff; }
  button:disabled { cursor: not-allowed; color: #aab3cf; background: #161b36; border-color: #39426b; }
  button.plain { background: none; border: 0; padding: 2px 4px; color: #b9c2dd; text-decoration: underline; font-size: 12px; }
  kbd { padding: 1px 6px; border: 1px solid #5a6aa8; border-radius: 4px; background: #101733; font: inherit; }
  :focus-visible { outline: 2px solid #ffd166; outline-offset: 2px; }
  .choices { display: flex; gap: 8px; margin: 4px 0; }
  .choices label { flex: 1 1 0; min-width: 0; }
  .choices select { width: 100%; }
  .quarters { display: grid; gap: 4px; margin: 4px 0; }
  .quarters label { display: grid; grid-template-columns: 90px minmax(0, 1fr); gap: 8px; align-items: center; }
  .templates { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; }
  .templates label { display: block; border: 2px solid #39426b; border-radius: 6px; padding: 4px; cursor: pointer; text-align: center; font-size: 12px; }
  .templates label:has(input:checked) { border-color: #5acce6; background: #12204a; }
  .templates img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 4px; display: block; }
  .templates img[data-turns='1'] { rotate: 90deg; }
  .templates img[data-turns='2'] { rotate: 180deg; }
  .templates img[data-turns='3'] { rotate: 270deg; }
  .titled { display: flex; justify-content: space-between; align-items: center; gap: 8px; }
  .titled p { display: flex; margin: 0; }
  .titled button { font-size: 12px; padding: 1px 6px; border-radius: 0; }
  .templates .waiting { display: block; width: 100%; aspect-ratio: 1; border-radius: 4px; background: #1b2348; }
  .templates input { margin: 4px 4px 0 0; accent-color: #5acce6; }
  .shares { display: flex; height: 16px; border-radius: 3px; overflow: hidden; border: 1px solid #4a5585; }
  progress { width: 100%; height: 12px; accent-color: #5acce6; }
  input[type='text'], input[type='number'], select { font: inherit; color: #fff; background: #101733; border: 1px solid #5a6aa8; border-radius: 4px; padding: 4px 6px; max-width: 100%; }
  .notice { position: sticky; top: 0; z-index: 1; background: #050615; }
  .error { border: 1px solid #ff9d9d; background: #3a1220; border-radius: 4px; padding: 8px; margin: 8px 0; }
  dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 10px; margin: 6px 0; }
  dt { color: #b9c2dd; }
  dd { margin: 0; overflow-wrap: anywhere; }
  summary { cursor: pointer; }
  table { border-collapse: collapse; margin: 6px 0; font-variant-numeric: tabular-nums; }
  th, table td { text-align: left; vertical-align: top; font-weight: 400; padding: 2px 10px 2px 0; }
  /* A mean stays beside its deviation, however long the titles are. */
  th { white-space: pre-line; }
  table td { white-space: pre; }
  tbody th { color: #b9c2dd; }
  .swatch { display: inline-block; width: 12px; height: 12px; border: 1px solid #fff; vertical-align: -2px; }
  figure { margin: 6px 0; }
  figure svg { background: #0b1030; border-radius: 4px; }
  figure text { fill: #b9c2dd; font-size: 11px; }
  .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
`;
